"""What the documentation says of the code is so: names, numbers, paths and links."""

import re
from functools import cache
from pathlib import Path

import pytest

from kindred.app.sections import SECTIONS, StoresConfig
from kindred.cli.commands import app
from kindred.core.slate import ReasonCode
from kindred.ingest.event_types import EventRules
from kindred.models.preference import EVENT_WEIGHTS
from kindred.models.retrieval import RETRIEVERS
from kindred.recommend.config import ESSENTIAL

REPOSITORY = Path(__file__).parents[3]
GUIDE = REPOSITORY / "docs" / "guide"
PAGES = [*REPOSITORY.glob("*.md"), *GUIDE.glob("*.md"), *(REPOSITORY / "docs" / "adr").glob("*.md")]


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """Return what stands below a heading of a guide page, up to the next heading of its rank."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text(GUIDE / page), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page} has no heading {heading!r}"
    return found[1]


def first_cells(body: str) -> list[str]:
    """Return the code spans of the first cell of each table row."""
    rows = re.findall(r"^\| (`.*?) \|", body, re.MULTILINE)
    return [span for row in rows for span in re.findall(r"`([^`]+)`", row)]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", one)).lower() for one in headings]
    return {one.strip().replace(" ", "-") for one in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}: there are {sorted(anchors(file))}"


@pytest.mark.parametrize("page", [REPOSITORY / "CONTRIBUTING.md", GUIDE / "extending.md"], ids=lambda page: page.stem)
def test_named_files_are_there(page: Path) -> None:
    named = re.findall(r"`((?:src|tests|docs|benchmarks|requirements)/[^`<>\s]*)`", text(page))
    assert len(named) >= 8
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_all_guide_pages_are_in_the_index() -> None:
    index = text(GUIDE / "README.md")
    assert [
        page.name for page in GUIDE.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index
    ] == []


def test_every_command_is_listed() -> None:
    listed = text(GUIDE / "command-line.md")
    names = [name for name in app if not name.startswith("-")]
    assert len(names) > 20
    assert [name for name in names if f"`kindred {name}" not in listed] == []


def test_reason_codes_are_all_explained() -> None:
    named = set(first_cells(section("explanations.md", "Reasons"))) - {"reason_code"}
    assert named == {code.value for code in ReasonCode}


def test_sources_are_all_explained() -> None:
    room = REPOSITORY / "src" / "kindred" / "recommend"
    source = [*(room / "sources").glob("*.py"), room / "search" / "sources.py"]
    names = {name for file in source for name in re.findall(r'^    name: str = "(\w+)"', text(file), re.MULTILINE)}
    assert len(names) >= 7
    assert set(first_cells(section("explanations.md", "Sources"))) == names | RETRIEVERS.keys()


def test_event_types_and_weights_are_the_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (-?\d+) \|", section("events.md", "Event types"), re.MULTILINE)
    assert {name: float(weight) for name, weight in rows} == EVENT_WEIGHTS
    assert sorted(name for name, _ in rows) == EventRules().names


def test_stores_and_suites_are_all_listed() -> None:
    rows = re.findall(
        r"^\| `stores\.(\w+)` \| `([\w.]+)` \| `([\w.]+)` \|", section("extending.md", "A store"), re.MULTILINE
    )
    assert {name for name, _, _ in rows} == set(StoresConfig.__struct_fields__)
    for _, port, suite in rows:
        for full in (port, suite):
            module, _, name = full.rpartition(".")
            found = getattr(__import__(module, fromlist=[name]), name)
            assert found.__name__ == name


def test_metrics_in_the_guide_are_measured_somewhere() -> None:
    code = "".join(text(file) for file in (REPOSITORY / "src").rglob("*.py"))
    measured = set(re.findall(r'\.(?:count|observe|gauge)\(\s*"(\w+)"', code))
    named = re.findall(r"`kindred_(\w+)`", section("operations.md", "Health and metrics"))
    assert {name.removesuffix("_total") for name in named} == measured


def test_settings_in_the_guide_exist() -> None:
    """Every `section.field` in prose is a setting."""
    known = {f"{name}.{field}" for name, kind in SECTIONS.items() for field in kind.__struct_fields__}
    for page in [*GUIDE.glob("*.md"), REPOSITORY / "README.md"]:
        prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
        for name in re.findall(r"`(\w+\.\w+)(?: = [^`]*)?`", prose):
            if name.partition(".")[0] in SECTIONS and not name.endswith((".toml", ".jsonl", ".sqlite")):
                assert name in known, f"{page.name}: {name}"


def test_the_stages_that_stay_on_are_listed() -> None:
    said = re.search(r"^- `disabled` takes .*?:\n(.*?)\.$", text(GUIDE / "configuration.md"), re.DOTALL | re.MULTILINE)
    assert said is not None
    assert re.findall(r"`(\w+)`", said[1]) == list(ESSENTIAL)

"""Kept figures: a rerun replaces its row, and the guide's page shows what is kept."""

import subprocess
from pathlib import Path

import pytest
from benchmarks.quality.record import BEGIN, END, PAGE, REPOSITORY, Row, read, record, tables, write_page


def row(system: str, ndcg: float, **more: object) -> Row:
    given = {"tuned": "nothing", "command": "python -m x", "seconds": 12.3, "peak_mib": 1234.5, **more}
    return Row(system=system, figures={"ndcg@10": ndcg}, **given)  # type: ignore[arg-type]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    place = tmp_path / "page.md"
    place.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    return place


def test_a_rerun_replaces_its_row_and_leaves_the_others(tmp_path: Path, page: Path) -> None:
    keep = {"results": tmp_path / "results", "page": page}
    record("a", "A", "All items.", row("ours", 0.1, published={"ndcg@10": 0.2}, citation="Someone 2020"), **keep)
    record("a", "A", "All items.", row("theirs", 0.3, commit="0ldc0de"), **keep)
    record("a", "A", "All items.", row("ours", 0.25, published={"ndcg@10": 0.2}, date="2026-01-02"), **keep)
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    stamp = head.stdout.strip()
    kept = read(tmp_path / "results" / "a.json").rows
    assert [(one.system, one.figures["ndcg@10"]) for one in kept] == [("ours", 0.25), ("theirs", 0.3)]
    assert kept[0].date == "2026-01-02"
    assert len(kept[1].date) == len("2026-01-02")
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "| ours | .2500 (published .2000) | nothing |" in text
    assert [one.commit for one in kept] == [stamp, "0ldc0de"]
    assert f"| 12 | 1,234 | 2026-01-02 | {stamp or '–'} | `python -m x` |" in text


def test_an_interval_and_a_bar_in_a_cell(tmp_path: Path, page: Path) -> None:
    found = Row(system="a|b", figures={"ndcg@10": (0.5, 0.4, 0.6)}, tuned="-", command="c", seconds=0.25, peak_mib=1.0)
    record("b", "B", "p", found, results=tmp_path, page=page)
    assert "| a\\|b | .5000 [.4000, .6000] |" in page.read_text()


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "page.md"
    place.write_text("# Nothing\n")
    with pytest.raises(SystemExit, match="lacks the line"):
        write_page(tmp_path, place)


def test_the_guide_shows_what_is_kept() -> None:
    """`python -m benchmarks.quality.record` would change nothing."""
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == tables().strip()

"""Settings: precedence, origins, and what is refused."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.config import Config
from kindred.core.errors import ConfigError, NotFound
from kindred.settings.documentation import field_docs
from kindred.settings.dump import dump
from kindred.settings.layers import RESERVED
from kindred.settings.load import Settings, find_home, load_settings
from kindred.settings.schema import OpenTable, Schema


class Inner(Config, frozen=True, kw_only=True):
    """An inner struct.

    `title`: weight of the title.
    """

    title: float = 1.0


class Rule(Config, frozen=True, kw_only=True):
    """A struct inside a table of free keys."""

    least: float | None = 0.0


class Web(Config, frozen=True, kw_only=True):
    """A section with every kind of field.

    `port`: where to listen. `host` and `name`: texts. `seed`: none draws anew. `verbose`: says more.
    `kinds`: a list. `weights`: by event type. `terms`: of the text. `mode`: one of two.
    `rules`: by name.
    """

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    host: str = "127.0.0.1"
    name: str | None = None
    seed: int | None = None
    ratio: float = 0.5
    verbose: bool = False
    kinds: tuple[str, ...] = ("a", "b")
    weights: dict[str, float] = msgspec.field(default_factory=lambda: {"view": 1.0})
    terms: Inner = Inner()
    mode: Literal["fast", "exact"] = "fast"
    rules: dict[str, dict[str, Rule]] = {}


class Surface(Config, frozen=True, kw_only=True):
    """A placement.

    `share`: of exploration. `base_share`: another one.
    """

    share: float | None = None
    base_share: float = 0.1

    def __post_init__(self) -> None:
        if self.base_share > 1:
            raise ValueError("base_share is at most 1")


SCHEMA = Schema({"web": Web}, {"placements": OpenTable(Surface, {"home": Surface(share=0.3)})})


def load(home: Path, text: str = "", **variables: str) -> Settings:
    if text:
        (home / "kindred.toml").write_text(text)
    return load_settings(SCHEMA, {f"KINDRED_{k}": v for k, v in variables.items()}, home)


def web(settings: Settings) -> Web:
    return settings.section(Web)


def test_nothing_set_is_all_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert web(settings) == Web()
    assert settings.get("web") == Web()
    assert settings.table("placements", Surface) == {"home": Surface(share=0.3)}
    assert {str(settings.origin(leaf)) for leaf in settings.leaves()} == {"default"}


def test_environment_over_file_over_default(tmp_path: Path) -> None:
    settings = load(tmp_path, "[web]\nport = 1\nratio = 2\n[web.terms]\ntitle = 3", WEB_PORT="2", WEB_TERMS_TITLE="4")
    assert (web(settings).port, web(settings).ratio, web(settings).terms.title) == (2, 2.0, 4.0)
    origins = {leaf.key: str(settings.origin(leaf)) for leaf in settings.leaves()}
    assert origins["web.port"] == "KINDRED_WEB_PORT"
    assert origins["web.ratio"] == "kindred.toml"
    assert origins["web.host"] == "default"


def load_preset(home: Path, text: str = "", **variables: str) -> Settings:
    for name, values in (("big", "[web]\nport = 10\nratio = 20"), ("loud", "[web]\nratio = 30\nverbose = true")):
        (home / f"{name}.toml").write_text(values)
    (home / "kindred.toml").write_text(text)
    presets = {name: home / f"{name}.toml" for name in ("big", "loud")}
    schema = Schema(SCHEMA.sections, SCHEMA.tables, presets)
    return load_settings(schema, {f"KINDRED_{k}": v for k, v in variables.items()}, home)


def test_a_preset_stands_between_defaults_and_file(tmp_path: Path) -> None:
    settings = load_preset(tmp_path, 'preset = "big"\n[web]\nport = 1')
    assert (web(settings).port, web(settings).ratio, web(settings).verbose) == (1, 20.0, False)
    origins = {leaf.key: str(settings.origin(leaf)) for leaf in settings.leaves()}
    assert (origins["web.port"], origins["web.ratio"]) == ("kindred.toml", "preset big")


def test_of_several_presets_the_later_counts_and_the_variable_before_the_file(tmp_path: Path) -> None:
    settings = load_preset(tmp_path, 'preset = "big"', PRESET="big, loud")
    assert (web(settings).port, web(settings).ratio, web(settings).verbose) == (10, 30.0, True)
    assert web(load_preset(tmp_path, 'preset = "big"', PRESET="")).port == 8080


@pytest.mark.parametrize(
    ("text", "variables", "said"),
    [
        ('preset = "bgi"', {}, "kindred.toml: preset: 'bgi' is unknown; did you mean `big`?"),
        ("", {"PRESET": "bgi"}, "KINDRED_PRESET: 'bgi' is unknown; did you mean `big`?"),
        ("preset = 7", {}, "kindred.toml: preset: expects text"),
    ],
)
def test_an_unknown_preset_is_refused_in_words(tmp_path: Path, text: str, variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_preset(tmp_path, text, **variables)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("WEB_NAME", "7", "name", "7"),
        ("WEB_NAME", "none", "name", None),
        ("WEB_SEED", "none", "seed", None),
        ("WEB_SEED", "12", "seed", 12),
        ("WEB_VERBOSE", "True", "verbose", True),
        ("WEB_VERBOSE", "1", "verbose", True),
        ("WEB_KINDS", "x, y", "kinds", ("x", "y")),
        ("WEB_KINDS", '["x,y"]', "kinds", ("x,y",)),
        ("WEB_KINDS", "x", "kinds", ("x",)),
        ("WEB_KINDS", "", "kinds", ()),
        ("WEB_WEIGHTS", "{view = 2, buy = 5}", "weights", {"view": 2.0, "buy": 5.0}),
        ("WEB_RULES", '{a = {b = {least = "none"}}}', "rules", {"a": {"b": Rule(least=None)}}),
        ("WEB_MODE", "exact", "mode", "exact"),
    ],
)
def test_variables_are_read_by_type(tmp_path: Path, variable: str, text: str, field: str, value: object) -> None:
    assert getattr(web(load(tmp_path, **{variable: text})), field) == value


def test_placements_may_be_named_by_file_and_by_variable(tmp_path: Path) -> None:
    text = "[placements.item-page]\nshare = 0.1\n[placements.home]\nbase_share = 0.2"
    settings = load(
        tmp_path, text, PLACEMENTS_ITEM_PAGE_BASE_SHARE="0.4", PLACEMENTS_SIDE_SHARE="0.9", PLACEMENTS_HOME_SHARE="none"
    )
    assert settings.table("placements", Surface) == {
        "home": Surface(share=None, base_share=0.2),
        "item-page": Surface(share=0.1, base_share=0.4),
        "side": Surface(share=0.9),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web]\nprot = 1", "web.prot: unknown; did you mean `port`?"),
        ("[wbe]\nport = 1", "[wbe]: unknown; did you mean `web`?"),
        ("[web.terms]\ntitel = 1", "web.terms.titel: unknown; did you mean `title`?"),
        ("[placements.home]\nshar = 1", "placements.home.shar: unknown; did you mean `share`?"),
        ('[placements."A b"]\nshare = 1', "[placements.A b]: names are"),
        ('[web]\nport = "80"', "web.port: expects a whole number (at least 0 and at most 65535), is '80'"),
        ("[web]\nport = 70000", "web.port: expects a whole number"),
        ("[web]\nratio = nan", "web.ratio: expects a number, is nan (must be a finite number)"),
        ("[web]\nweights = {view = inf}", "web.weights: expects a table of numbers"),
        ("[web]\nkinds = [1]", "web.kinds: expects a list of texts, is [1]"),
        ("[web.rules.a.b]\nlest = 1", "web.rules.a.b.lest: unknown; did you mean `least`?"),
        ('[web]\nmode = "slow"', "web.mode: expects one of 'exact', 'fast'"),
        ("web = 1", "web: expects a table, write `[web]`"),
        ("[web]\nterms = 1", "web.terms: expects a table"),
        ("[placements.home]\nbase_share = 2", "[placements.home]: base_share is at most 1"),
        ("[web\nport = 1", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in caught.value.detail
    assert "kindred.toml" in caught.value.detail or "placements.home]: base" in caught.value.detail


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WEB_PROT": "1"}, "KINDRED_WEB_PROT: unknown variable; did you mean KINDRED_WEB_PORT?"),
        ({"WEB_PORT": "many"}, "KINDRED_WEB_PORT: expects a whole number"),
        ({"WEB_RATIO": "inf"}, "KINDRED_WEB_RATIO: expects a number"),
        ({"WEB_KINDS": ""}, None),
        ({"PLACEMENTS_HOME_SHAR": "1"}, "did you mean KINDRED_PLACEMENTS_HOME_SHARE?"),
        ({"HOME": "x", "DEBUG": "1"}, None),
    ],
)
def test_a_wrong_variable_is_refused_in_words(tmp_path: Path, variables: dict[str, str], said: str | None) -> None:
    if said is None:
        assert load(tmp_path, **variables)
        return
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **variables)
    assert said in caught.value.detail


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "[web]\nprot = 1\nratio = 'x'", WEB_SEED="x")
    assert len(caught.value.detail.splitlines()) == 3


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kindred.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path)


def test_find_names_the_nearest_key(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.find("web.port").variable == "KINDRED_WEB_PORT"
    assert settings.find("KINDRED_WEB_PORT").key == "web.port"
    with pytest.raises(NotFound, match=r"web\.port"):
        settings.find("web.prot")


def test_unknown_sections_are_refused(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(ConfigError):
        settings.get("wbe")
    with pytest.raises(ConfigError):
        settings.section(Inner)


def test_home_is_named_by_its_variable(tmp_path: Path) -> None:
    assert find_home({"KINDRED_HOME": str(tmp_path)}) == tmp_path
    assert find_home({}).name == ".kindred"
    assert set(RESERVED) >= {"KINDRED_HOME", "KINDRED_DEBUG"}


def test_docs_come_from_the_docstring() -> None:
    docs = field_docs(Web)
    assert docs["port"] == "Where to listen."
    assert docs["host"] == docs["name"] == "Texts."
    assert docs["mode"] == "One of two."
    assert "ratio" not in docs


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
webs = st.builds(
    Web,
    port=st.integers(0, 65535),
    host=texts.filter(lambda t: t.strip().lower() != "none"),
    name=st.none() | texts.filter(lambda t: t.strip().lower() != "none"),
    seed=st.none() | st.integers(-(2**62), 2**62),
    ratio=numbers,
    verbose=st.booleans(),
    kinds=st.lists(texts, max_size=3).map(tuple),
    weights=st.dictionaries(texts, numbers, max_size=3),
    terms=st.builds(Inner, title=numbers),
    mode=st.sampled_from(["fast", "exact"]),
    rules=st.dictionaries(
        texts, st.dictionaries(texts, st.builds(Rule, least=st.none() | numbers), max_size=2), max_size=2
    ),
)
surfaces = st.builds(Surface, share=st.none() | numbers, base_share=st.floats(0, 1))


@given(webs, st.dictionaries(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), surfaces, max_size=3))
def test_dump_then_load_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, config: Web, placements: dict[str, Surface]
) -> None:
    home = tmp_path_factory.mktemp("home")
    placements = {"home": Surface(share=0.3), **placements}
    written = dump(Settings(home, SCHEMA, {"web": config}, {"placements": placements}, {}))
    (home / "kindred.toml").write_text(written, encoding="utf-8", newline="")
    read = load_settings(SCHEMA, {}, home)
    assert read.section(Web) == config
    assert read.table("placements", Surface) == placements

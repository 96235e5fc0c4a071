"""The real table of settings: documented, readable, and the same after a round trip."""

import re
from pathlib import Path

import pytest

from kindred.app.sections import SCHEMA, train_configs
from kindred.core.errors import ConfigError
from kindred.settings.documentation import summary
from kindred.settings.dump import dump
from kindred.settings.layers import RESERVED
from kindred.settings.load import load_settings
from kindred.settings.wording import expected


def test_every_setting_is_documented(tmp_path: Path) -> None:
    undocumented = [leaf.key for leaf in load_settings(SCHEMA, {}, tmp_path).leaves() if not leaf.doc]
    assert not undocumented
    assert all(summary(kind) for kind in SCHEMA.sections.values())


def test_every_setting_has_a_variable_of_its_own(tmp_path: Path) -> None:
    variables = [leaf.variable for leaf in load_settings(SCHEMA, {}, tmp_path).leaves()]
    assert len(variables) == len(set(variables))
    assert not set(variables) & set(RESERVED)


def test_every_type_is_said_in_words(tmp_path: Path) -> None:
    said = {leaf.key: expected(leaf.type) for leaf in load_settings(SCHEMA, {}, tmp_path).leaves()}
    assert all(said.values())
    assert said["als.seed"] == "a whole number"
    assert said["popularity.half_life"] == 'a number or "none"'


def test_the_written_defaults_read_back(tmp_path: Path) -> None:
    settings = load_settings(SCHEMA, {}, tmp_path)
    written = dump(settings)
    assert "#port = 8080" in written
    uncommented = re.sub(r"^#(?=\w)", "", written, flags=re.MULTILINE)
    (tmp_path / "kindred.toml").write_text(uncommented)
    again = load_settings(SCHEMA, {}, tmp_path)
    assert (again.sections, again.tables) == (settings.sections, settings.tables)
    assert "server.port" in again.origins


@pytest.mark.parametrize("section", list(SCHEMA.sections))
def test_every_section_can_be_reached(section: str, tmp_path: Path) -> None:
    settings = load_settings(SCHEMA, {}, tmp_path)
    assert type(settings.get(section)) is SCHEMA.sections[section]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KINDRED_PLACEMENTS_HOME_DISABLED", "alz", "did you mean `als`"),
        ("KINDRED_PLACEMENTS_HOME_DISABLED", "blend", "cannot be switched off"),
        ("KINDRED_PLACEMENTS_HOME_WEIGHTS", "{colaborative = 1.0}", "did you mean `collaborative`"),
        ("KINDRED_PLACEMENTS_HOME_WEIGHTS", "{content = -1.0}", "at least 0"),
        ("KINDRED_PLACEMENTS_HOME_WEIGHTS", "{content = 0.0}", "above 0"),
        ("KINDRED_PLACEMENTS_HOME_COUNT", "0", "at least 1"),
        ("KINDRED_RECOMMEND_DIVERSITY", "7", "at most 1"),
        ("KINDRED_RECOMMEND_CANDIDATES", "-3", "at least 1"),
        ("KINDRED_DEADLINES_SOURCES", "0", "above 0"),
    ],
)
def test_what_cannot_work_is_refused(variable: str, value: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(SCHEMA, {variable: value}, tmp_path)


@pytest.mark.parametrize("preset", list(SCHEMA.presets))
def test_every_preset_can_be_read_and_is_documented(preset: str, tmp_path: Path) -> None:
    settings = load_settings(SCHEMA, {"KINDRED_PRESET": preset}, tmp_path)
    assert settings.origins
    assert {str(origin) for origin in settings.origins.values()} == {f"preset {preset}"}
    page = Path(__file__).parents[3] / "docs" / "guide" / "configuration.md"
    assert f"| `{preset}` |" in page.read_text()


def test_the_seed_presets_are_there() -> None:
    assert set(SCHEMA.presets) >= {"seed-als", "seed-transformer", "seed-two-tower"}


def test_seed_als_is_what_the_reference_design_says(tmp_path: Path) -> None:
    configs = train_configs(load_settings(SCHEMA, {"KINDRED_PRESET": "seed-als"}, tmp_path))
    assert (configs.als.factors, configs.als.iterations, configs.als.regularization_exponent) == (256, 10, 0)
    assert configs.als.effective(10) == configs.als.effective(10**9) == 0.01
    assert (configs.preference.alpha, configs.preference.max_age) == (2.0, 90 * 86_400)

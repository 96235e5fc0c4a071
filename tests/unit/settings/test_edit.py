"""Values are set in the settings file, and everything else in it stays."""

from pathlib import Path

import pytest

from kindred.core.errors import ConfigError
from kindred.settings.edit import toml_lines, write_values

TEXT = """# mine
[als]
factors = 64  # chosen once
seed = 1

[server]
port = 9
"""


def test_values_change_in_place_and_comments_stay(tmp_path: Path) -> None:
    place = tmp_path / "kindred.toml"
    place.write_text(TEXT)
    write_values(place, "als", {"factors": 96, "regularization": 12.5})
    assert place.read_text() == TEXT.replace("= 64", "= 96").replace("seed = 1\n", "seed = 1\nregularization = 12.5\n")
    write_values(place, "item_item", {"user_weighting": "none"})
    assert place.read_text().endswith('[item_item]\nuser_weighting = "none"\n')


def test_a_missing_file_is_made(tmp_path: Path) -> None:
    place = tmp_path / "home" / "kindred.toml"
    write_values(place, "als", {"factors": 8})
    assert place.read_text() == toml_lines("als", {"factors": 8}) + "\n"


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "kindred.toml"
    place.write_text("[als\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        write_values(place, "als", {"factors": 8})
    assert place.read_text() == "[als\n"

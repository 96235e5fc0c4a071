"""Changes values in the settings file and leaves everything else in it as it is, comments too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from kindred.core.errors import ConfigError
from kindred.core.files import make_folder, replace_file, translating


def write_values(path: Path, section: str, values: Mapping[str, Any]) -> None:
    """Set `values` in a section of the file at `path`, which is made where it is missing.

    Raises ConfigError for a file that is not TOML, StoreFull or StoreUnavailable where it cannot be written.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document = tomlkit.parse(text)
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    table = document.setdefault(section, tomlkit.table())
    for key, value in values.items():
        table[key] = value
    with translating(path):
        make_folder(path.parent)
        replace_file(path, tomlkit.dumps(document).encode())


def toml_lines(section: str, values: Mapping[str, Any]) -> str:
    """Return what stands in the file for `values` of a section."""
    return tomlkit.dumps({section: dict(values)}).rstrip()

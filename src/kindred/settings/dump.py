"""Writes settings as the commented TOML that `load_settings` reads back."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import tomlkit

from kindred.settings.documentation import summary
from kindred.settings.load import Settings
from kindred.settings.schema import Leaf
from kindred.settings.wording import expected

_WIDTH = 110


def dump(settings: Settings) -> str:
    """Return the whole settings as TOML: each value with its meaning; defaults stand commented out."""
    lines = ["# Kindred's settings. A line such as `#key = value` is a default: take the # away to change it."]
    for name, config in settings.sections.items():
        lines += ["", *_comment(summary(type(config)))]
        lines += _table(settings, settings.schema.section_leaves(name), (name,))
    for table, entries in settings.tables.items():
        for entry, config in entries.items():
            lines += ["", *_comment(summary(type(config)))]
            lines += _table(settings, settings.schema.entry_leaves(table, entry), (table, entry))
    return "\n".join(lines) + "\n"


def _table(settings: Settings, leaves: Iterable[Leaf], path: tuple[str, ...]) -> list[str]:
    """Write a table; the leaves of nested structs follow under headings of their own."""
    lines: list[str] = []
    heading: tuple[str, ...] | None = None
    for leaf in sorted(leaves, key=lambda leaf: (len(leaf.path), leaf.path[:-1])):
        if leaf.path[:-1] != heading:
            heading = leaf.path[:-1]
            lines.append(f"[{'.'.join(heading)}]")
        lines += _comment(f"{leaf.doc} Expects {expected(leaf.type)}." if leaf.doc else "")
        value = settings.value(leaf)
        mark = "#" if value == leaf.default else ""
        lines.append(f"{mark}{leaf.path[-1]} = {toml_value(value)}")
    return lines or [f"[{'.'.join(path)}]"]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it on one line; None is written as `"none"`."""
    plain = msgspec.to_builtins(value)
    if plain is None:
        return '"none"'
    if isinstance(plain, Mapping):
        inside = ", ".join(f"{tomlkit.key(str(k)).as_string()} = {toml_value(v)}" for k, v in plain.items())
        return f"{{{inside}}}"
    if isinstance(plain, list | tuple):
        return f"[{', '.join(toml_value(part) for part in plain)}]"
    written: str = tomlkit.item(plain).as_string()
    return written

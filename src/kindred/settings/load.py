"""Reads the settings: defaults ← presets ← file ← environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kindred.core.config import Config, unknown_key
from kindred.core.errors import ConfigError, KindredError, NotFound
from kindred.settings.layers import Found, Origin, convert, from_environment, from_presets, from_tables, read_file
from kindred.settings.schema import Leaf, Schema, build

FILE_NAME = "kindred.toml"
DEFAULT_HOME = ".kindred"
_DEFAULT = Origin("default")

T = TypeVar("T", bound=Config)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, read and checked.

    `home`: the data folder. `sections`: one config struct per name. `tables`: the entries of each open table.
    `origins`: where each value that is not a default comes from, by dotted key.
    """

    home: Path
    schema: Schema
    sections: Mapping[str, Config]
    tables: Mapping[str, Mapping[str, Config]]
    origins: Mapping[str, Origin]

    @property
    def file(self) -> Path:
        """Return where the settings file stands, or would stand."""
        return self.home / FILE_NAME

    def section(self, kind: type[T]) -> T:
        """Return the section of a kind; raise ConfigError when no section has it."""
        for value in self.sections.values():
            if type(value) is kind:
                return value
        raise ConfigError(f"no section of the settings is a {kind.__name__}")

    def get(self, name: str) -> Config:
        """Return a section by name; raise ConfigError for an unknown one."""
        if name not in self.sections:
            raise ConfigError(f"[{name}]: {unknown_key(name, self.sections)}")
        return self.sections[name]

    def table(self, name: str, kind: type[T]) -> dict[str, T]:
        """Return the entries of an open table, all of `kind`."""
        return {entry: value for entry, value in self.tables[name].items() if isinstance(value, kind)}

    def leaves(self) -> list[Leaf]:
        """Return everything that can be set, in order."""
        found = [leaf for name in self.sections for leaf in self.schema.section_leaves(name)]
        for table, entries in self.tables.items():
            found.extend(leaf for entry in entries for leaf in self.schema.entry_leaves(table, entry))
        return found

    def value(self, leaf: Leaf) -> Any:
        """Return what a leaf is set to."""
        top, *rest = leaf.path
        value: Any = self.tables[top] if top in self.tables else self.sections[top]
        for name in rest:
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
        return value

    def origin(self, leaf: Leaf) -> Origin:
        """Return where a leaf's value comes from."""
        return self.origins.get(leaf.key, _DEFAULT)

    def find(self, key: str) -> Leaf:
        """Return the leaf of a dotted key or a variable's name; raise NotFound naming the nearest known one."""
        known = {leaf.key: leaf for leaf in self.leaves()}
        by_variable = {leaf.variable: leaf for leaf in known.values()}
        leaf = known.get(key) or by_variable.get(key)
        if leaf is None:
            raise NotFound(f"{key}: {unknown_key(key, by_variable if key.isupper() else known)}")
        return leaf


def find_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the data folder: KINDRED_HOME, or `.kindred` below the working folder."""
    named = (os.environ if environ is None else environ).get("KINDRED_HOME", "").strip()
    return Path(named or DEFAULT_HOME).expanduser().absolute()


def load_settings(schema: Schema, environ: Mapping[str, str] | None = None, home: Path | None = None) -> Settings:
    """Read the layers over the defaults; raise ConfigError with one line for each thing that is wrong."""
    environ = os.environ if environ is None else environ
    home = home or find_home(environ)
    path = home / FILE_NAME
    tables = read_file(path)
    problems: list[str] = []
    found = list(from_presets(schema, tables, environ, path, problems))
    found.extend(from_tables(schema, tables, Origin("file", path.name), path, problems))
    entries = {name: {*table.defaults, *_named(tables.get(name))} for name, table in schema.tables.items()}
    found.extend(from_environment(schema, environ, entries, problems))
    values = _converted(found, problems)
    for each in found:
        if each.leaf.path[0] in schema.tables:
            entries[each.leaf.path[0]].add(each.leaf.path[1])
    sections = {name: _built(kind(), (name,), values, problems) for name, kind in schema.sections.items()}
    opened = {
        name: {
            entry: _built(table.default(entry), (name, entry), values, problems)
            for entry in [*table.defaults, *sorted(entries[name] - set(table.defaults))]
        }
        for name, table in schema.tables.items()
    }
    if problems:
        raise ConfigError("\n".join(problems))
    origins = {each.leaf.key: each.origin for each in found}
    return Settings(home, schema, sections, opened, origins)


def _named(table: Any) -> list[str]:
    return [name for name, value in table.items() if isinstance(value, Mapping)] if isinstance(table, Mapping) else []


def _converted(found: list[Found], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in found:
        try:
            values[each.leaf.key] = convert(each)
        except ConfigError as error:
            problems.append(error.detail)
    return values


def _built(instance: Config, path: tuple[str, ...], values: Mapping[str, Any], problems: list[str]) -> Config:
    try:
        return build(instance, path, values)
    except KindredError as error:
        problems.append(f"[{'.'.join(path)}]: {error.detail}")
    except ValueError as error:
        problems.append(f"[{'.'.join(path)}]: {error}")
    return instance

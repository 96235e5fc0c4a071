"""The shape of the settings: sections, open tables, and the leaves in them that can be set."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kindred.core.config import Config
from kindred.settings.documentation import field_docs

PREFIX = "KINDRED_"
ENTRY_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value that can be set: where it stands, its type, its default, and what it means."""

    path: tuple[str, ...]
    type: Any
    default: Any
    doc: str

    @property
    def key(self) -> str:
        """Return the dotted name, such as `server.port`."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Return the environment variable, such as `KINDRED_SERVER_PORT`."""
        return variable(self.path)


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table whose entries the user names, all of one kind; `defaults` are the entries that always exist."""

    kind: type[Config]
    defaults: Mapping[str, Config] = field(default_factory=dict)

    def default(self, name: str) -> Config:
        """Return what an entry is before anything is set."""
        return self.defaults.get(name) or self.kind()


@dataclass(frozen=True, slots=True)
class Schema:
    """All that can be set: a config struct per section, and open tables such as `placements`.

    `presets`: TOML files by name, each a set of values that belong together.
    """

    sections: Mapping[str, type[Config]]
    tables: Mapping[str, OpenTable] = field(default_factory=dict)
    presets: Mapping[str, Path] = field(default_factory=dict)

    def section_leaves(self, name: str) -> Iterator[Leaf]:
        """Go through the leaves of a section."""
        return leaves(self.sections[name](), (name,))

    def entry_leaves(self, table: str, entry: str) -> Iterator[Leaf]:
        """Go through the leaves of one entry of an open table."""
        return leaves(self.tables[table].default(entry), (table, entry))


def variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a path."""
    return PREFIX + "_".join(path).replace("-", "_").upper()


def leaves(instance: Config, path: tuple[str, ...]) -> Iterator[Leaf]:
    """Go through the leaves of a config struct in the order of its fields, nested structs included."""
    docs = field_docs(type(instance))
    for part in msgspec.structs.fields(instance):
        value = getattr(instance, part.name)
        if isinstance(value, Config):
            yield from leaves(value, (*path, part.name))
        else:
            yield Leaf((*path, part.name), part.type, value, docs.get(part.name, ""))


def build(instance: Config, path: tuple[str, ...], values: Mapping[str, Any]) -> Config:
    """Return `instance` with the leaves that `values` holds (by dotted key) replaced.

    Raises what the struct's own checks raise: ValueError or a KindredError.
    """
    chosen: dict[str, Any] = {}
    for part in msgspec.structs.fields(instance):
        here = (*path, part.name)
        value = getattr(instance, part.name)
        chosen[part.name] = (
            build(value, here, values) if isinstance(value, Config) else values.get(".".join(here), value)
        )
    return type(instance)(**chosen)

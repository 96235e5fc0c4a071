"""The layers over the defaults: presets, the file's tables and the environment's variables, as values by dotted key."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from kindred.core.config import nearest, unknown_key
from kindred.core.errors import ConfigError
from kindred.settings.schema import ENTRY_NAME, PREFIX, Leaf, Schema, leaves, variable
from kindred.settings.wording import expected, finite, normalised, takes_list, takes_text

PRESET = "preset"
RESERVED = {
    "KINDRED_HOME": "the data folder",
    "KINDRED_PRESET": "names of presets, joined by commas",
    "KINDRED_DEBUG": "1 shows the stack trace of an unexpected error",
    "KINDRED_TOKEN": "a bearer token kept for your own scripts",
    "KINDRED_URL": "a server's address kept for your own scripts",
    "KINDRED_PARENT": "set by `kindred run` for the processes that end with it",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from; `place` is the preset, the file or the variable."""

    layer: Literal["default", "preset", "file", "environment"]
    place: str = ""

    def __str__(self) -> str:
        """Say it in a word or two."""
        return self.place or self.layer


@dataclass(frozen=True, slots=True)
class Found:
    """A value that a layer sets."""

    leaf: Leaf
    raw: Any
    origin: Origin


def read_file(path: Path) -> dict[str, Any]:
    """Read the TOML file, or nothing where there is none; raise ConfigError with line and column when it is broken."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def from_presets(
    schema: Schema, tables: Mapping[str, Any], environ: Mapping[str, str], path: Path, problems: list[str]
) -> Iterator[Found]:
    """Go through what the named presets set, a later one over an earlier; the variable counts before the file's key.

    Several names are joined by commas. Append to `problems` what is unknown.
    """
    place, named = f"{path}: {PRESET}", tables.get(PRESET, "")
    variable_name = variable((PRESET,))
    if variable_name in environ:
        place, named = variable_name, environ[variable_name]
    if not isinstance(named, str):
        problems.append(f"{place}: expects text: names of presets, joined by commas")
        return
    for name in filter(None, map(str.strip, named.split(","))):
        if name not in schema.presets:
            problems.append(f"{place}: {name!r} is {unknown_key(name, schema.presets)}")
            continue
        preset = schema.presets[name]
        yield from from_tables(schema, read_file(preset), Origin("preset", f"preset {name}"), preset, problems)


def from_tables(
    schema: Schema, tables: Mapping[str, Any], origin: Origin, path: Path, problems: list[str]
) -> Iterator[Found]:
    """Go through what a file's tables set; append to `problems` what is unknown."""
    for name, table in tables.items():
        if name in schema.sections:
            yield from _walk(list(schema.section_leaves(name)), (name,), table, origin, path, problems)
        elif name in schema.tables and isinstance(table, Mapping):
            for entry, values in table.items():
                if not ENTRY_NAME.fullmatch(entry):
                    problems.append(f"{path}: [{name}.{entry}]: names are a–z, 0–9, _ and -, a letter first")
                    continue
                yield from _walk(list(schema.entry_leaves(name, entry)), (name, entry), values, origin, path, problems)
        elif name != PRESET:
            problems.append(f"{path}: [{name}]: {unknown_key(name, [*schema.sections, *schema.tables])}")


def _walk(
    known: list[Leaf], at: tuple[str, ...], table: Any, origin: Origin, path: Path, problems: list[str]
) -> Iterator[Found]:
    if not isinstance(table, Mapping):
        problems.append(f"{path}: {'.'.join(at)}: expects a table, write `[{'.'.join(at)}]`")
        return
    here = {leaf.path: leaf for leaf in known}
    inner = {leaf.path[len(at)] for leaf in known if leaf.path[: len(at)] == at}
    for name, value in table.items():
        place = (*at, name)
        if place in here:
            yield Found(here[place], value, origin)
        elif name in inner:
            yield from _walk(known, place, value, origin, path, problems)
        else:
            problems.append(f"{path}: {'.'.join(place)}: {unknown_key(name, inner)}")


def from_environment(
    schema: Schema, environ: Mapping[str, str], entries: Mapping[str, set[str]], problems: list[str]
) -> Iterator[Found]:
    """Go through what `KINDRED_…` variables set; `entries` are the names known so far of each open table."""
    known = {leaf.variable: leaf for name in schema.sections for leaf in schema.section_leaves(name)}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in RESERVED:
            continue
        leaf = known.get(name) or _entry_leaf(schema, name, entries)
        if leaf is not None:
            yield Found(leaf, environ[name], Origin("environment", name))
        else:
            candidates = [*known, *RESERVED, *_entry_variables(schema, entries)]
            near = nearest(name, candidates)
            problems.append(f"{name}: unknown variable" + (f"; did you mean {near}?" if near else ""))


def _entry_leaf(schema: Schema, name: str, entries: Mapping[str, set[str]]) -> Leaf | None:
    """Find the leaf of `KINDRED_<TABLE>_<ENTRY>_<FIELD>`; the longest field name that fits wins."""
    for table, kind in schema.tables.items():
        start = variable((table,)) + "_"
        if not name.startswith(start):
            continue
        fields = sorted(leaves(kind.kind(), ()), key=lambda leaf: -len(leaf.path[-1]))
        for field in fields:
            ending = "_" + "_".join(field.path).upper()
            entry = name[len(start) :].removesuffix(ending).lower()
            if name.endswith(ending) and ENTRY_NAME.fullmatch(entry):
                written = next((known for known in entries[table] if known.replace("-", "_") == entry), entry)
                return next(leaf for leaf in schema.entry_leaves(table, written) if leaf.path[2:] == field.path)
    return None


def _entry_variables(schema: Schema, entries: Mapping[str, set[str]]) -> Iterator[str]:
    for table, names in entries.items():
        for entry in names:
            yield from (leaf.variable for leaf in schema.entry_leaves(table, entry))


def convert(found: Found) -> Any:
    """Return the value in its field's type; raise ConfigError naming where, the key and what is expected."""
    leaf, raw, from_text = found.leaf, found.raw, found.origin.layer == "environment"
    place = found.origin.place if from_text else f"{found.origin.place}: {leaf.key}"
    value = normalised(_parse(leaf.type, raw) if from_text else raw, leaf.type, place)
    try:
        if not finite(value):
            raise msgspec.ValidationError("must be a finite number")
        return msgspec.convert(value, leaf.type, strict=not from_text)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: expects {expected(leaf.type)}, is {_shown(raw)} ({error})") from error


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "…"


def _parse(kind: Any, raw: str) -> Any:
    """Read a variable's text: as it stands for text, else as a TOML value, else `a,b,c` for lists."""
    if takes_text(kind):
        return raw
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    if takes_list(kind) and not isinstance(value, list):
        return [part.strip() for part in raw.strip("[] ").split(",") if part.strip()]
    return value

"""The mapping file: which columns of which files mean what."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from kindred.core.config import Config, decode, unknown_key
from kindred.core.errors import ConfigError

ITEM_FIELDS = (
    "item_id", "title", "description", "categories", "tags", "thumbnail_url", "creator", "rating", "price", "stock",
    "regions", "active", "available_from", "available_until", "created",
)  # fmt: skip
USER_FIELDS = ("user_id", "country", "region", "gender", "birth_year", "language", "timezone", "created")
CIRCUMSTANCES = ("request_id", "placement", "position", "location", "device", "watch_duration", "total_duration")
INTERACTION_FIELDS = (
    "user_id", "item_id", "event_type", "timestamp", "value", "quantity", "session", *CIRCUMSTANCES,
)  # fmt: skip
_NUMERIC_FIELDS = (
    "value", "quantity", "timestamp", "rating", "price", "stock", "birth_year", "created", "available_from",
    "available_until", "position", "watch_duration", "total_duration",
)  # fmt: skip
TAG_FIELDS = ("item_id", "tag")
EVENT_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ANONYMOUS = "anon:"
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]


class Column(Config, frozen=True, kw_only=True):
    """Where one field comes from; in the file `field = "column"` is short for `field = { column = "column" }`."""

    column: str | None = None
    """A column of the file."""
    columns: tuple[str, ...] = ()
    """Several columns: of lists all values, of texts the values joined by a space, else the first that is there."""
    constant: str | int | float | bool | None = None
    """The same value in every row."""
    delimiter: str | None = None
    """What parts the values of a list that stands in one text."""
    values: dict[str, str] = msgspec.field(default_factory=dict)
    """Other values for those in the file; an empty one means that the value is missing."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns of the file that it reads."""
        return (self.column,) if self.column is not None else self.columns


class Cancellation(Config, frozen=True, kw_only=True):
    """Which rows take an earlier purchase back; such rows are never stored, nor is the purchase that they match."""

    event: str | None = None
    """Rows of this event type, after `events` was applied; or"""
    where: str | None = None
    """rows for which this expression over the file's columns is true."""
    of: str = "purchase"
    """The event type that is taken back."""


class Table(Config, frozen=True, kw_only=True):
    """What every table of the mapping has."""

    path: str = ""
    """A file, a folder or a glob, relative to the mapping file (or to the data folder that was named)."""
    format: Literal["auto", "csv", "jsonl", "parquet"] = "auto"
    """By default from the file's ending; `.gz` may follow it for csv and jsonl."""
    delimiter: str = ","
    """Of CSV files: one character."""
    encoding: str = "utf-8"
    """Of CSV files."""
    columns: dict[str, Column] = msgspec.field(default_factory=dict)
    """Field = column."""
    where: str | None = None
    """SQL expression over the file's columns; rows for which it is not true are left out and counted."""


class EntityTable(Table, frozen=True, kw_only=True):
    """What tables of items and of users share."""

    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    """Attribute = column; a list of columns keeps their names."""
    numeric_attributes: tuple[str, ...] = ()
    """Attributes that are numbers although the file (CSV) holds text."""
    timestamp_unit: TimeUnit = "auto"
    """Of times that are numbers."""


class ItemTable(EntityTable, frozen=True, kw_only=True):
    """Items of the catalogue."""


class UserTable(EntityTable, frozen=True, kw_only=True):
    """Users' profiles."""


class InteractionTable(Table, frozen=True, kw_only=True):
    """Interactions."""

    events: dict[str, str] = msgspec.field(default_factory=dict)
    """Event type by the name in the file; other names stay."""
    timestamp_unit: TimeUnit = "auto"
    """Of numeric times; `auto` goes by their size."""
    timestamp_format: str | None = None
    """strptime format of times that are not ISO-8601, such as `%d/%m/%Y %H:%M`."""
    missing_user: str = "reject"
    """`reject` (a bad row), `drop` (left out, counted), or `anon:<column>`: the user is `anon:` + its value."""
    without_value: str | None = None
    """Event type of rating rows that have no value; without it they are bad rows."""
    max_rating: float = 10.0
    """Highest value that a rating may have."""
    cancellation: Cancellation | None = None
    """Which rows take an earlier purchase of the same user and item back."""

    @property
    def anonymous_column(self) -> str | None:
        """Return the column that names users without an id, or None."""
        named = self.missing_user.startswith(_ANONYMOUS)
        return self.missing_user.removeprefix(_ANONYMOUS) if named else None


class TagTable(Table, frozen=True, kw_only=True):
    """Tags that stand in a file of their own, one row a tag of an item."""

    min_count: int = 1
    """Tags used fewer times in the whole file are left out."""
    max_tags: int = 50
    """An item keeps its most used tags."""


class ImportMapping(Config, frozen=True, kw_only=True):
    """A whole mapping file."""

    source: str = ""
    """Name of the source; rows of one source are never imported twice, so keep it when its files grow."""
    timezone: str = "UTC"
    """Zone of times that carry none."""
    notice: str | None = None
    """File whose text is shown on import, such as conditions of use."""
    items: ItemTable | None = None
    users: UserTable | None = None
    interactions: InteractionTable | None = None
    item_tags: TagTable | None = None
    base: str = "."
    """Folder that paths are relative to; set by `load_mapping`."""


_TABLES: dict[str, tuple[type[Table], tuple[str, ...], tuple[str, ...]]] = {
    "items": (ItemTable, ITEM_FIELDS, ("item_id",)),
    "users": (UserTable, USER_FIELDS, ("user_id",)),
    "interactions": (InteractionTable, INTERACTION_FIELDS, ("user_id", "item_id", "event_type")),
    "item_tags": (TagTable, TAG_FIELDS, ("item_id", "tag")),
}


def load_mapping(path: Path, data: Path | None = None) -> ImportMapping:
    """Read a mapping file; paths in it are relative to `data`, or else to the file. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    try:
        return parse_mapping(table, data or path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.detail}") from error


def parse_mapping(table: Mapping[str, Any], base: Path) -> ImportMapping:
    """Check a mapping given as plain tables; raise ConfigError naming the key, the nearest known one and the fix."""
    plain = {key: value for key, value in table.items() if key not in _TABLES}
    if "base" in plain:
        raise ConfigError("base: name the data folder on the command line instead")
    known = {field.encode_name for field in msgspec.structs.fields(ImportMapping)} - {"base"}
    for key in plain:
        if key not in known:
            raise ConfigError(f"{key}: {unknown_key(key, known)}")
    head = decode(ImportMapping, plain, "mapping")
    tables = {key: _table(key, table[key]) for key in _TABLES if key in table}
    mapping = msgspec.structs.replace(head, base=str(base), **tables)
    _check(mapping)
    return mapping


def _table(name: str, raw: Any) -> Table:
    """Decode one table, its short forms written out."""
    kind, fields, required = _TABLES[name]
    if not isinstance(raw, dict):
        raise ConfigError(f"{name}: is a table: write [{name}]")
    table = dict(raw)
    columns = table.pop("columns", {})
    if not isinstance(columns, dict):
        raise ConfigError(f"{name}.columns: is a table of field = column")
    for key in columns:
        if key not in fields:
            raise ConfigError(f"{name}.columns.{key}: {unknown_key(key, fields)}")
    if isinstance(table.get("attributes"), list):
        table["attributes"] = {str(column): str(column) for column in table["attributes"]}
    where = f"{name}.cancellation"
    if isinstance(table.get("cancellation"), dict):
        table["cancellation"] = decode(Cancellation, table["cancellation"], where)
    decoded = decode(kind, table, name)
    specs = {key: _column(value, f"{name}.columns.{key}") for key, value in columns.items()}
    for field in required:
        if field not in specs:
            example = ', or { constant = "view" } when all are of one type' if field == "event_type" else ""
            raise ConfigError(f"{name}.columns.{field}: missing; name the column that holds it{example}")
    if not decoded.path:
        raise ConfigError(f"{name}.path: missing; name the file, folder or glob to read")
    if len(decoded.delimiter) != 1:
        raise ConfigError(f"{name}.delimiter: is one character, not {decoded.delimiter!r}")
    return msgspec.structs.replace(decoded, columns=specs)


def _column(raw: Any, where: str) -> Column:
    """Decode one column in any of its forms."""
    match raw:
        case str():
            return Column(column=raw)
        case list():
            return Column(columns=tuple(str(name) for name in raw))
        case dict():
            column = decode(Column, raw, where)
        case _:
            raise ConfigError(f'{where}: is a column\'s name, a list of them, or a table such as {{ column = "a" }}')
    number = isinstance(column.constant, int | float) and not isinstance(column.constant, bool)
    if column.constant is not None and where.rpartition(".")[2] in _NUMERIC_FIELDS and not number:
        raise ConfigError(f"{where}: its constant is a number, not {column.constant!r}")
    given = [column.column is not None, bool(column.columns), column.constant is not None]
    if sum(given) != 1:
        raise ConfigError(f"{where}: needs exactly one of column, columns, constant")
    return column


def _check(mapping: ImportMapping) -> None:
    """Check what spans several keys."""
    if not _SOURCE_NAME.fullmatch(mapping.source):
        hint = 'give the source a name of small letters, digits, dots and dashes, such as source = "my-shop"'
        raise ConfigError(f"source: {hint}")
    try:
        ZoneInfo(mapping.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"timezone: {mapping.timezone!r} is not a zone; write one such as Europe/London") from error
    if not (mapping.items or mapping.users or mapping.interactions):
        raise ConfigError("mapping: has none of [items], [users], [interactions]: nothing to import")
    if mapping.item_tags and not mapping.items:
        raise ConfigError("item_tags: needs [items], whose tags it gives")
    if mapping.interactions:
        _check_interactions(mapping.interactions)


def _check_interactions(table: InteractionTable) -> None:
    """Check event names, the cancellation and the rule for missing users."""
    names = [*table.events.values(), table.without_value, table.columns["event_type"].constant]
    for name in names:
        if name is not None and not EVENT_NAME.fullmatch(str(name)):
            raise ConfigError(f"interactions.events: {name!r} is not an event type: small letters, digits and _")
    if table.missing_user not in ("reject", "drop") and not table.anonymous_column:
        raise ConfigError(f"interactions.missing_user: is reject, drop or anon:<column>, not {table.missing_user!r}")
    cancels = table.cancellation
    if cancels and (cancels.event is None) == (cancels.where is None):
        raise ConfigError("interactions.cancellation: needs exactly one of event, where")

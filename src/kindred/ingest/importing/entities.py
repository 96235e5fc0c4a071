"""Raw rows of items and users into catalogue items and profiles, the bad ones told apart."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

import polars as pl

from kindred.core.item import Item
from kindred.core.profile import Profile
from kindred.ingest.importing.columns import (
    column_names,
    identifiers,
    numbers,
    present_values,
    take,
    text_lists,
    texts,
)
from kindred.ingest.importing.identifiers import RULE, faulty_identifiers
from kindred.ingest.importing.mapping import EntityTable, ItemTable, UserTable
from kindred.ingest.importing.readers import RawBatch
from kindred.ingest.importing.rejects import LINE, Rejects, first_fault
from kindred.ingest.importing.row_filter import RowFilter
from kindred.ingest.importing.times import to_milliseconds

_TRUE, _FALSE = ("true", "1", "yes", "y", "t", "active"), ("false", "0", "no", "n", "f", "inactive")
_TEXTS = ("title", "description", "thumbnail_url", "creator", "region", "gender", "language", "timezone")
_LISTS = ("categories", "tags", "regions")
_TIMES = ("created", "available_from", "available_until")
_NUMBERS = ("rating", "price", "stock", "birth_year")
_WHOLE = ("stock", "birth_year")
_BIRTH_YEARS = (1880, 2200)
_DETAILS = {
    "missing id": "the row has no identifier",
    "bad id": RULE,
    "bad where": "the where expression compares a column as a number that is none here",
    "bad country": "a country has two letters (ISO 3166); map others with country = { column = …, values = { … } }",
    "bad active": f"is none of {', '.join((*_TRUE, *_FALSE))}",
    **dict.fromkeys((f"bad {name}" for name in _NUMBERS), "not a finite number of at least 0"),
    **dict.fromkeys((f"bad {name}" for name in _TIMES), "neither a number nor ISO-8601; check timestamp_unit"),
    "bad birth_year": "not a calendar year",
    "bad stock": "not a whole number of at least 0",
}


class EntityReader:
    """Turns raw batches of items or users into plain field tables; counts what was read and left out."""

    def __init__(self, table: EntityTable, id_field: str, zone: str, rejects: Rejects) -> None:
        """Parse the mapping's expression; raise ConfigError when it is none."""
        self._table, self._id, self._zone, self._rejects = table, id_field, zone, rejects
        where = f"{'items' if isinstance(table, ItemTable) else 'users'}.where"
        self._where = RowFilter(table.where, where) if table.where else None
        self.read = 0
        self.left_out: Counter[str] = Counter()

    @property
    def needed(self) -> set[str]:
        """Return the columns of the file that are read."""
        names = column_names(self._table.columns.values()) | set(self._table.attributes.values())
        return names | (self._where.columns if self._where else set())

    def rows(self, batch: RawBatch) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give the line and the present fields of each good row, `attributes` among them."""
        self.read += len(batch.frame)
        raw = self._pick(batch)
        columns, faults = self._columns(raw)
        fault = first_fault(faults, len(raw))
        for reason in fault.drop_nulls().unique(maintain_order=True):
            chosen = raw.filter((fault == reason).fill_null(False))
            self._rejects.add_rows(chosen, batch.file, reason, _DETAILS[reason])
        good = fault.is_null()
        fields = pl.DataFrame(columns).filter(good)
        attributes = raw.filter(good).select(**{k: pl.col(v) for k, v in self._table.attributes.items()})
        lines = raw.filter(good)[LINE]
        free: Iterator[dict[str, Any]] = attributes.iter_rows(named=True) if attributes.width else iter(())
        for line, row in zip(lines, fields.iter_rows(named=True), strict=True):
            kept = {name: value for name, value in row.items() if value is not None}
            kept["attributes"] = self._attributes(next(free, {}))
            yield line, kept

    def _pick(self, batch: RawBatch) -> pl.DataFrame:
        """Leave rows out by the mapping's expression."""
        if self._where is None:
            return batch.frame
        picked = self._where.apply(batch.frame)
        bad = batch.frame.filter(picked.unreadable)
        if len(bad):
            self._rejects.add_rows(bad, batch.file, "bad where", _DETAILS["bad where"])
        kept = batch.frame.filter(picked.kept & ~picked.unreadable)
        self.left_out["where"] += len(batch.frame) - len(bad) - len(kept)
        return kept

    def _columns(self, raw: pl.DataFrame) -> tuple[dict[str, pl.Series], list[tuple[str, pl.Series]]]:
        """Return the mapped fields of all rows, and the faults."""
        ids = identifiers(raw, self._table.columns[self._id])
        columns, faults = {self._id: ids}, [("missing id", ids.is_null()), ("bad id", faulty_identifiers(ids))]
        for name, column in self._table.columns.items():
            if name in _TEXTS:
                columns[name] = texts(raw, column)
            elif name in _LISTS:
                columns[name] = text_lists(raw, column)
            elif name in _NUMBERS:
                columns[name], bad = _checked_number(name, *numbers(raw, column))
                faults.append((f"bad {name}", bad))
            elif name in _TIMES:
                read = self._time_reader()
                columns[name] = take(raw, column, read, pl.Int64)
                faults.append((f"bad {name}", present_values(raw, column) & columns[name].is_null()))
            elif name == "country":
                columns[name] = texts(raw, column).str.to_uppercase()
                faults.append(("bad country", ~columns[name].str.contains("^[A-Z]{2}$").fill_null(True)))
            elif name == "active":
                columns[name], bad = _truth(texts(raw, column).str.to_lowercase())
                faults.append(("bad active", bad))
        return columns, faults

    def _time_reader(self) -> Callable[[pl.Series], pl.Series]:
        """Return how this table's times are read."""
        return lambda values: to_milliseconds(values, self._table.timestamp_unit, self._zone)

    def _attributes(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return free attributes as JSON values, missing ones left out."""
        kept = {}
        for name, value in row.items():
            plain = _plain(value)
            if name in self._table.numeric_attributes and isinstance(plain, str):
                plain = _number(plain)
            if plain is not None:
                kept[name] = plain
        return kept


def to_item(fields: dict[str, Any], extra_tags: list[str]) -> Item:
    """Make an item; its title is its id where it has none."""
    tags = list(dict.fromkeys([*fields.pop("tags", []), *extra_tags]))
    title = fields.pop("title", None) or fields["item_id"]
    return Item(**fields, title=title, tags=tags)


def to_profile(fields: dict[str, Any]) -> Profile:
    """Make a profile."""
    return Profile(**fields)


def item_reader(table: ItemTable, zone: str, rejects: Rejects) -> EntityReader:
    """Return a reader of items."""
    return EntityReader(table, "item_id", zone, rejects)


def user_reader(table: UserTable, zone: str, rejects: Rejects) -> EntityReader:
    """Return a reader of users."""
    return EntityReader(table, "user_id", zone, rejects)


def _checked_number(name: str, values: pl.Series, bad: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Hold numbers against their field's rule."""
    bad = bad | (values < 0).fill_null(False)
    if name == "birth_year":
        low, high = _BIRTH_YEARS
        bad = bad | (~values.is_between(low, high)).fill_null(False)
    if name in _WHOLE:
        bad = bad | (values != values.round()).fill_null(False)
        return values.cast(pl.Int64, strict=False), bad
    return values, bad


def _truth(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Read yes and no."""
    truth = values.replace_strict([*_TRUE, *_FALSE], [True] * len(_TRUE) + [False] * len(_FALSE), default=None)
    return truth.cast(pl.Boolean), values.is_not_null() & truth.is_null()


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it, None where it cannot."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value)
        case date() | time():
            return value.isoformat()
        case list() | tuple():
            return [plain for plain in map(_plain, value) if plain is not None]
        case dict():
            return {str(key): _plain(part) for key, part in value.items()}
        case _:
            return str(value)


def _number(text: str) -> int | float | str:
    """Read a number from text, or return the text."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number

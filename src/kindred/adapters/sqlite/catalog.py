"""The catalogue in one SQLite file."""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from kindred.adapters.sqlite.store import Row, SqliteStore, database_path, select_in
from kindred.core.errors import InvalidInput, StoreFull
from kindred.core.item import CatalogItem, Item

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    ordinal INTEGER PRIMARY KEY,
    item_id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL UNIQUE,
    listed INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    item TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS items_listed ON items (item_id) WHERE listed;
"""
_COLUMNS = "ordinal, seq, listed, updated, item"
_MAX_ORDINAL = 2**31 - 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Item).decode


async def open_catalog(location: str, home: Path) -> "SqliteCatalog":
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteCatalog, database_path(location, home))


class _Known(NamedTuple):
    ordinal: int
    listed: bool
    text: str


class SqliteCatalog(SqliteStore):
    """A CatalogStore whose items are JSON text, so that SQLite's own tools can read them.

    Rows are never deleted, hence ordinals stay dense and `max(seq)` is the sequence number of the last change; both are
    given inside the write transaction, so that the feed's order is the order of commits.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA)

    async def upsert(self, items: Sequence[Item], now: int) -> list[int]:
        """Create or replace items (listed from then on) and return their ordinals; of equal ids the last one wins."""
        texts = {item.item_id: _text(item) for item in items}
        ordinals = await self._write(lambda connection: _upsert(connection, texts, now))
        return [ordinals[item.item_id] for item in items]

    async def resolve(self, item_ids: Sequence[str], now: int) -> list[int]:
        """Return the ordinals of ids, reserving one (unlisted) for an id not seen before."""
        found = await self._read(lambda connection: _ordinals(connection, item_ids), len(item_ids))
        missing = {item_id: _text(Item(item_id=item_id)) for item_id in item_ids if item_id not in found}
        if missing:
            found |= await self._write(lambda connection: _reserve(connection, missing, now))
        return [found[item_id] for item_id in item_ids]

    async def delete(self, item_ids: Sequence[str], now: int) -> int:
        """Unlist items, keeping their ordinals and what was known of them; return how many were listed."""
        return await self._write(lambda connection: _unlist(connection, item_ids, now))

    async def get(self, item_ids: Sequence[str]) -> list[CatalogItem | None]:
        """Return what is known under each id, in order."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE item_id IN ({{}})"
        rows = await self._read(lambda connection: select_in(connection, statement, item_ids), len(item_ids))
        found = {each.item.item_id: each for each in map(_item, rows)}
        return [found.get(item_id) for item_id in item_ids]

    async def by_ordinals(self, ordinals: Sequence[int]) -> list[CatalogItem | None]:
        """Return what stands at each ordinal, in order."""
        keys = [int(ordinal) for ordinal in ordinals]
        statement = f"SELECT {_COLUMNS} FROM items WHERE ordinal IN ({{}})"
        rows = await self._read(lambda connection: select_in(connection, statement, keys), len(keys))
        found = {each.ordinal: each for each in map(_item, rows)}
        return [found.get(key) for key in keys]

    async def page(self, after: str, limit: int) -> list[CatalogItem]:
        """Return listed items in order of id (by code point), behind `after`."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE listed AND item_id > ? ORDER BY item_id LIMIT ?"
        return await self._read(lambda connection: _items(connection, statement, (after, max(limit, 0))), limit)

    async def changes_since(self, seq: int, limit: int) -> list[CatalogItem]:
        """Return items whose last change is behind `seq`, in order; when there are none it costs microseconds."""
        newest = await self._read(_last_seq, 1)
        if newest <= seq:
            return []
        statement = f"SELECT {_COLUMNS} FROM items WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = min(limit, newest - seq)
        return await self._read(lambda connection: _items(connection, statement, (seq, max(limit, 0))), rows)


def _text(item: Item) -> str:
    try:
        return _encode(item).decode()
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput.at(f"/items/{item.item_id!a}", f"cannot be written as JSON: {error}") from error


def _item(row: Row) -> CatalogItem:
    ordinal, seq, listed, updated, text = row
    return CatalogItem(ordinal=ordinal, seq=seq, listed=bool(listed), item=_decode(text), updated=updated)


def _items(connection: sqlite3.Connection, statement: str, parameters: tuple[object, ...]) -> list[CatalogItem]:
    return [_item(row) for row in connection.execute(statement, parameters)]


def _last_seq(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM items").fetchone()[0])


def _next_ordinal(connection: sqlite3.Connection, new: int) -> int:
    """Return the first free ordinal; raise StoreFull when `new` more would not fit into an int32."""
    first = int(connection.execute("SELECT coalesce(max(ordinal), -1) + 1 FROM items").fetchone()[0])
    if first + new - 1 > _MAX_ORDINAL:
        raise StoreFull("the catalogue has used all 2,147,483,648 ordinals; start a new data folder")
    return first


def _ordinals(connection: sqlite3.Connection, item_ids: Iterable[str]) -> dict[str, int]:
    statement = "SELECT item_id, ordinal FROM items WHERE item_id IN ({})"
    return dict(select_in(connection, statement, item_ids))


def _upsert(connection: sqlite3.Connection, texts: dict[str, str], now: int) -> dict[str, int]:
    statement = "SELECT item_id, ordinal, listed, item FROM items WHERE item_id IN ({})"
    known = {row[0]: _Known(*row[1:]) for row in select_in(connection, statement, texts)}
    changed = {key: text for key, text in texts.items() if not _stands(known.get(key), text)}
    new = [key for key in changed if key not in known]
    first = _next_ordinal(connection, len(new))
    ordinals = {key: each.ordinal for key, each in known.items()} | {k: first + n for n, k in enumerate(new)}
    seq = _last_seq(connection)
    connection.executemany(
        "INSERT INTO items (ordinal, item_id, seq, listed, updated, item) VALUES (?, ?, ?, 1, ?, ?) "
        "ON CONFLICT (ordinal) DO UPDATE SET seq = excluded.seq, listed = 1, updated = excluded.updated, "
        "item = excluded.item",
        ((ordinals[key], key, seq + n, now, text) for n, (key, text) in enumerate(changed.items(), start=1)),
    )
    return ordinals


def _stands(known: _Known | None, text: str) -> bool:
    """Say whether an upsert would change nothing; the order of keys inside `attributes` does not count."""
    if known is None or not known.listed:
        return False
    return known.text == text or _decode(known.text) == _decode(text)


def _reserve(connection: sqlite3.Connection, texts: dict[str, str], now: int) -> dict[str, int]:
    found = _ordinals(connection, texts)
    new = [key for key in texts if key not in found]
    first, seq = _next_ordinal(connection, len(new)), _last_seq(connection)
    connection.executemany(
        "INSERT INTO items (ordinal, item_id, seq, listed, updated, item) VALUES (?, ?, ?, 0, ?, ?)",
        ((first + n, key, seq + 1 + n, now, texts[key]) for n, key in enumerate(new)),
    )
    return found | {key: first + n for n, key in enumerate(new)}


def _unlist(connection: sqlite3.Connection, item_ids: Iterable[str], now: int) -> int:
    seq = _last_seq(connection)
    statement = "SELECT item_id, ordinal FROM items WHERE listed AND item_id IN ({})"
    listed: dict[str, int] = dict(select_in(connection, statement, dict.fromkeys(item_ids)))
    connection.executemany(
        "UPDATE items SET listed = 0, seq = ?, updated = ? WHERE ordinal = ?",
        [(seq + n, now, ordinal) for n, ordinal in enumerate(listed.values(), start=1)],
    )
    return len(listed)

"""The catalogue in PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from kindred.adapters.postgres.database import Connection
from kindred.adapters.postgres.store import PostgresStore, batches, json_text
from kindred.core.errors import StoreFull
from kindred.core.item import CatalogItem, Item

_COLUMNS = "ordinal, seq, listed, updated, item::text AS item"
_INT32 = 2**31
# Held to the end of the transaction, and given back only once its changes can be seen: so the order of sequence
# numbers is the order in which they appear, and what a transaction took and then lost leaves no gap.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('kindred catalogue ' || current_schema(), 0))"
_WRITE = """
WITH given AS (
    SELECT place, item_id, item FROM unnest($1::text[], $2::jsonb[]) WITH ORDINALITY AS g (item_id, item, place)
), joined AS (
    SELECT place, given.item_id, given.item, ordinal, {stands} AS stands FROM given LEFT JOIN items USING (item_id)
), numbered AS (
    SELECT item_id, item,
        (SELECT coalesce(max(seq), 0) FROM items) + row_number() OVER (ORDER BY place) AS seq,
        coalesce(ordinal, (SELECT coalesce(max(ordinal), -1) FROM items)
            + row_number() OVER (PARTITION BY ordinal IS NULL ORDER BY place)) AS ordinal
    FROM joined WHERE NOT stands
), written AS (
    INSERT INTO items (ordinal, item_id, seq, listed, updated, item)
    SELECT ordinal::integer, item_id, seq, $3, $4, item FROM numbered
    ON CONFLICT (ordinal) DO UPDATE
        SET seq = excluded.seq, listed = excluded.listed, updated = excluded.updated, item = excluded.item
    RETURNING item_id, ordinal
)
SELECT item_id, ordinal FROM written UNION ALL SELECT item_id, ordinal FROM joined WHERE stands
"""
# Equal as JSON values, whatever the order of their keys.
_UPSERT = _WRITE.format(stands="coalesce(items.listed AND items.item = given.item, false)")
_RESERVE = _WRITE.format(stands="ordinal IS NOT NULL")
_UNLIST = """
WITH gone AS (
    SELECT ordinal, (SELECT max(seq) FROM items) + row_number() OVER (ORDER BY place) AS seq
    FROM unnest($1::text[]) WITH ORDINALITY AS g (item_id, place) JOIN items USING (item_id) WHERE listed
)
UPDATE items SET listed = false, seq = gone.seq, updated = $2 FROM gone WHERE items.ordinal = gone.ordinal
RETURNING items.ordinal
"""

_decode = msgspec.json.Decoder(Item).decode


async def open_catalog(location: str, home: Path) -> "PostgresCatalog":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresCatalog.opened(location, home)


class PostgresCatalog(PostgresStore):
    """A CatalogStore whose items are jsonb, with GIN indexes on tags and attributes for SQL of one's own.

    jsonb keeps the value of a number, not how it was written: `1e3` in an attribute comes back as `1000`. Writers take
    turns; a large call is cut into transactions of 5,000 items, and made whole by making it again.
    """

    async def upsert(self, items: Sequence[Item], now: int) -> list[int]:
        """Create or replace items (listed from then on) and return their ordinals; of equal ids the last one wins."""
        texts = {item.item_id: json_text(item, f"/items/{item.item_id!a}") for item in items}
        ordinals = await self._write(_UPSERT, texts, True, now)
        return [ordinals[item.item_id] for item in items]

    async def resolve(self, item_ids: Sequence[str], now: int) -> list[int]:
        """Return the ordinals of ids, reserving one (unlisted) for an id not seen before."""
        found: dict[str, int] = {}
        statement = "SELECT item_id, ordinal FROM items WHERE item_id = ANY($1::text[])"
        for keys in batches(dict.fromkeys(item_ids)):
            found |= dict(await self._fetch(statement, keys))
        missing = dict.fromkeys(item_id for item_id in item_ids if item_id not in found)
        texts = {item_id: json_text(Item(item_id=item_id), f"/items/{item_id!a}") for item_id in missing}
        found |= await self._write(_RESERVE, texts, False, now)
        return [found[item_id] for item_id in item_ids]

    async def delete(self, item_ids: Sequence[str], now: int) -> int:
        """Unlist items, keeping their ordinals and what was known of them; return how many were listed."""
        gone = 0
        for keys in batches(dict.fromkeys(item_ids)):
            gone += len(await self._open.transact(_locked(_UNLIST, keys, now)))
        return gone

    async def get(self, item_ids: Sequence[str]) -> list[CatalogItem | None]:
        """Return what is known under each id, in order."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE item_id = ANY($1::text[])"
        found = {each.item.item_id: each for each in await self._known(statement, dict.fromkeys(item_ids))}
        return [found.get(item_id) for item_id in item_ids]

    async def by_ordinals(self, ordinals: Sequence[int]) -> list[CatalogItem | None]:
        """Return what stands at each ordinal, in order."""
        keys = [int(ordinal) for ordinal in ordinals]
        statement = f"SELECT {_COLUMNS} FROM items WHERE ordinal = ANY($1::integer[])"
        rows = await self._known(statement, dict.fromkeys(key for key in keys if 0 <= key < _INT32))
        found = {each.ordinal: each for each in rows}
        return [found.get(key) for key in keys]

    async def page(self, after: str, limit: int) -> list[CatalogItem]:
        """Return listed items in order of id (by code point), behind `after`."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE listed AND item_id > $1 ORDER BY item_id LIMIT $2"
        return [_item(row) for row in await self._fetch(statement, after, max(limit, 0))]

    async def changes_since(self, seq: int, limit: int) -> list[CatalogItem]:
        """Return items whose last change is behind `seq`, in order of their commits."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE seq > $1 ORDER BY seq LIMIT $2"
        return [_item(row) for row in await self._fetch(statement, seq, max(limit, 0))]

    async def _known(self, statement: str, keys: dict[Any, None]) -> list[CatalogItem]:
        return [_item(row) for batch in batches(keys) for row in await self._fetch(statement, batch)]

    async def _write(self, statement: str, texts: dict[str, str], listed: bool, now: int) -> dict[str, int]:
        ordinals: dict[str, int] = {}
        for batch in batches(texts.items()):
            keys, values = zip(*batch, strict=True)
            ordinals |= dict(await self._open.transact(_locked(statement, keys, values, listed, now)))
        return ordinals


def _locked(statement: str, *arguments: object) -> Any:
    """Return the transaction of one statement that changes items while no other does."""

    async def work(connection: Connection) -> list[Any]:
        await connection.execute(_LOCK)
        try:
            rows: list[Any] = await connection.fetch(statement, *arguments)
        except asyncpg.NumericValueOutOfRangeError as error:
            raise StoreFull("the catalogue has used all 2,147,483,648 ordinals; start a new schema") from error
        return rows

    return work


def _item(row: Any) -> CatalogItem:
    ordinal, seq, listed, updated, text = row
    return CatalogItem(ordinal=ordinal, seq=seq, listed=listed, item=_decode(text), updated=updated)

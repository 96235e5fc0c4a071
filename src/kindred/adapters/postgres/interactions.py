"""The history of interactions in PostgreSQL."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from kindred.adapters.postgres.database import Connection, Work
from kindred.adapters.postgres.store import PostgresStore, affected
from kindred.core.errors import InvalidInput
from kindred.core.ids import hashed_id
from kindred.core.position import Position
from kindred.ports.interactions import (
    EVERY_ITEM,
    EVERY_TYPE,
    InteractionColumns,
    InteractionRow,
    Tombstone,
    outliving,
)

_UNKNOWN_TIME = -(2**63)
_LATEST = 2**63 - 1
_ROW_ID_BYTES = 16
_ROWS_PER_STATEMENT = 10_000
_ROWS_PER_COPY = 50_000
# Seconds: a bulk insertion touches the item index all over, and counting reads every row.
_BULK = 600.0
_NAMES = ("user_id", "time", "row_id", "item", "event_type", "value")
_COLUMNS = "row_id, user_id, item, event_type, time, value"
_INSERT = f"INSERT INTO interactions ({', '.join(_NAMES)})"
# Both in the order of the key, so that two calls with the same rows never wait for one another.
_ADD = f"""{_INSERT}
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::integer[], $5::text[], $6::float8[])
ON CONFLICT DO NOTHING
"""
_ADD_STAGED = f"{_INSERT} SELECT * FROM staged ORDER BY user_id, time, row_id ON CONFLICT DO NOTHING"
_STAGE = """
CREATE TEMPORARY TABLE staged (
    user_id text COLLATE "C", time bigint, row_id bytea, item integer, event_type text, value float8
) ON COMMIT DROP
"""
# One index seek per distinct value instead of sorting every row.
_DISTINCT = """
WITH RECURSIVE each (value) AS (
    (SELECT {column} FROM interactions ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM interactions WHERE {column} > each.value ORDER BY {column} LIMIT 1)
    FROM each WHERE each.value IS NOT NULL
) SELECT count(value) FROM each
"""

_USERS_AT_ONCE = 500
# One index seek per user, as above.
_NEXT_USERS = """
WITH RECURSIVE each (value, number) AS (
    (SELECT user_id, 1 FROM interactions WHERE user_id > $1 ORDER BY user_id LIMIT 1)
    UNION ALL
    SELECT (SELECT user_id FROM interactions WHERE user_id > each.value ORDER BY user_id LIMIT 1), number + 1
    FROM each WHERE each.value IS NOT NULL AND number < $2
) SELECT value FROM each WHERE value IS NOT NULL
"""
_TRIM = "DELETE FROM interactions WHERE user_id > $1 AND user_id <= $2 AND time > $3 AND time < $4"

# Whoever adds rows holds off whoever forgets some, and the other way round: neither would see what the other has not
# committed yet. To be taken by a statement of its own, for the next one sees what was committed while it waited.
_HOLD_OFF = "SELECT pg_advisory_xact_lock{}(hashtextextended('kindred history ' || current_schema(), 0))"
_ADDING, _TAKING = _HOLD_OFF.format("_shared"), _HOLD_OFF.format("")
_STANDING = "SELECT user_hash, item, event_type FROM tombstones WHERE user_hash = ANY($1::bytea[]) AND position >= $2"
_RAISE = """
INSERT INTO tombstones VALUES ($1, $2, $3, $4)
ON CONFLICT (user_hash, item, event_type) DO UPDATE SET position = excluded.position
WHERE excluded.position > tombstones.position
"""

Row = tuple[str, int, bytes, int, str, float | None]


async def open_interactions(location: str, home: Path) -> "PostgresInteractions":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresInteractions.opened(location, home)


class PostgresInteractions(PostgresStore):
    """An InteractionStore in one table, keyed by (user, time, row id) and indexed by item.

    A row id stands for one row for ever, so that the user and the time that come with it are part of its key.
    """

    async def add(self, rows: Sequence[InteractionRow], position: Position) -> int:
        """Insert rows, skipping known ones and what is gone; return how many were new.

        At most 10,000 rows make one transaction; a larger call that was cut off is made whole by making it again.
        """
        ordered = sorted(rows, key=itemgetter(1))
        made, new = [_row(row) for row in ordered], 0
        for start in range(0, len(ordered), _ROWS_PER_STATEMENT):
            part = slice(start, start + _ROWS_PER_STATEMENT)
            new += await self._open.transact(_adding(ordered[part], made[part], position))
        return new

    async def add_columns(self, columns: InteractionColumns) -> int:
        """Insert many rows by COPY into a staging table, skipping known row ids; return how many were new.

        50,000 rows make one transaction; a call that was cut off is made whole by making it again.
        """
        _check(columns)
        new = 0
        for start in range(0, len(columns.items), _ROWS_PER_COPY):
            rows = await asyncio.to_thread(_rows_of, columns, slice(start, start + _ROWS_PER_COPY))
            new += await self._open.transact(_copying(rows), _BULK)
        return new

    async def by_user(self, user_id: str, limit: int, before: int | None = None) -> list[InteractionRow]:
        """Return a user's rows newest first, rows without time last; `before` (ms) leaves out rows at or after it."""
        statement = (
            f"SELECT {_COLUMNS} FROM interactions WHERE user_id = $1 AND time < $2 "
            "ORDER BY time DESC, row_id DESC LIMIT $3"
        )
        return _found(await self._fetch(statement, user_id, _LATEST if before is None else before, max(limit, 0)))

    async def by_item(self, item: int, limit: int) -> list[InteractionRow]:
        """Return an item's rows, newest first; rows without time come last."""
        statement = f"SELECT {_COLUMNS} FROM interactions WHERE item = $1 ORDER BY time DESC, row_id DESC LIMIT $2"
        return _found(await self._fetch(statement, int(item), max(limit, 0)))

    async def remove(
        self, user_id: str, item: int, position: Position, event_types: Sequence[str] | None = None
    ) -> int:
        """Delete a user's rows of one item, or those of some event types alone; return how many there were."""
        names = [EVERY_TYPE] if event_types is None else list(event_types)
        return await self._open.transact(_removing(user_id, int(item), names, position))

    async def trim(self, before: int) -> int:
        """Delete rows of before a time (ms), user by user in pieces; those without time stay. Return how many went."""
        gone, after = 0, ""
        while found := await self._fetch(_NEXT_USERS, after, _USERS_AT_ONCE):
            last = found[-1][0]
            gone += await self._execute(_TRIM, after, last, _UNKNOWN_TIME, before)
            after = last
        return gone

    async def forget(self, user_id: str, position: Position) -> int:
        """Delete a user's rows; return how many there were."""
        return await self._open.transact(_forgetting(user_id, position))

    async def counts(self) -> tuple[int, int, int]:
        """Return how many rows, distinct users and distinct items there are; it reads the whole key once."""
        return await self._open.transact(_count, _BULK)


def _row(row: InteractionRow) -> Row:
    row_id, user_id, item, event_type, time, value = row
    if len(row_id) != _ROW_ID_BYTES:
        raise InvalidInput.at("/row_id", f"must have {_ROW_ID_BYTES} bytes, has {len(row_id)}")
    known = _UNKNOWN_TIME if time is None else time
    return user_id, known, row_id, item, event_type, None if math.isnan(value) else value


def _adding(rows: Sequence[InteractionRow], made: Sequence[Row], position: Position) -> Work[int]:
    """Return the transaction that adds those of `rows`, which `made` are too, that no tombstone stands for."""

    async def work(connection: Connection) -> int:
        await connection.execute(_ADDING)
        gone = await _standing(connection, {row.user_id for row in rows}, position)
        left = [_row(row) for row in outliving(rows, gone)] if gone else made
        if not left:
            return 0
        ordered = sorted(left, key=itemgetter(0, 1, 2))
        return affected(await connection.execute(_ADD, *zip(*ordered, strict=True)))

    return work


def _forgetting(user_id: str, position: Position) -> Work[int]:
    async def work(connection: Connection) -> int:
        await connection.execute(_TAKING)
        user, place = hashed_id(user_id), position.sortable()
        if not affected(await connection.execute(_RAISE, user, EVERY_ITEM, EVERY_TYPE, place)):
            return 0
        await connection.execute(
            "DELETE FROM tombstones WHERE user_hash = $1 AND item <> $2 AND position <= $3", user, EVERY_ITEM, place
        )
        return affected(await connection.execute("DELETE FROM interactions WHERE user_id = $1", user_id))

    return work


def _removing(user_id: str, item: int, names: Sequence[str], position: Position) -> Work[int]:
    async def work(connection: Connection) -> int:
        await connection.execute(_TAKING)
        user, place = hashed_id(user_id), position.sortable()
        if (user, EVERY_ITEM, EVERY_TYPE) in await _standing(connection, [user_id], position):
            return 0
        kinds = [each for each in names if affected(await connection.execute(_RAISE, user, item, each, place))]
        statement = "DELETE FROM interactions WHERE user_id = $1 AND item = $2 AND ($3 OR event_type = ANY($4::text[]))"
        return affected(await connection.execute(statement, user_id, item, EVERY_TYPE in kinds, kinds))

    return work


async def _standing(connection: Connection, users: Iterable[str], position: Position) -> set[Tombstone]:
    """Return the tombstones of users that stand at or behind a position."""
    rows = await connection.fetch(_STANDING, [hashed_id(user) for user in users], position.sortable())
    return {(user, item, kind) for user, item, kind in rows}


def _check(columns: InteractionColumns) -> None:
    """Raise InvalidInput when the columns' lengths or the row ids' length differ."""
    lengths = {name: len(getattr(columns, name)) for name in InteractionColumns.__slots__}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the columns of interactions differ in length: {lengths}")
    if columns.row_ids.dtype.itemsize != _ROW_ID_BYTES:
        raise InvalidInput.at(
            "/row_ids", f"must have {_ROW_ID_BYTES} bytes each, have {columns.row_ids.dtype.itemsize}"
        )


def _rows_of(columns: InteractionColumns, part: slice) -> list[Row]:
    """Return a part of the columns as rows in the order of `_NAMES`."""
    times = np.where(columns.timestamps[part] == -1, _UNKNOWN_TIME, columns.timestamps[part])
    # A view as V16, since S16 drops the zero bytes that an id may end with.
    row_ids = np.ascontiguousarray(columns.row_ids[part]).view(f"V{_ROW_ID_BYTES}")
    values = columns.values[part].astype(object)
    values[np.isnan(columns.values[part])] = None
    fixed = (times.tolist(), row_ids.tolist(), columns.items[part].tolist())
    return list(zip(columns.users[part], *fixed, columns.event_types[part], values.tolist(), strict=True))


def _copying(rows: list[Row]) -> Work[int]:
    """Return the transaction that copies rows into a table of its own and inserts from there."""

    async def work(connection: Connection) -> int:
        await connection.execute(_STAGE)
        await connection.copy_records_to_table("staged", records=rows, columns=_NAMES, timeout=_BULK)
        return affected(await connection.execute(_ADD_STAGED, timeout=_BULK))

    return work


async def _count(connection: Connection) -> tuple[int, int, int]:
    distinct = (_DISTINCT.format(column=column) for column in ("user_id", "item"))
    rows, users, items = [
        int(await connection.fetchval(statement, timeout=_BULK))
        for statement in ("SELECT count(*) FROM interactions", *distinct)
    ]
    return rows, users, items


def _found(rows: list[Any]) -> list[InteractionRow]:
    return [
        InteractionRow(
            row_id,
            user_id,
            item,
            event_type,
            None if time == _UNKNOWN_TIME else time,
            math.nan if value is None else value,
        )
        for row_id, user_id, item, event_type, time, value in rows
    ]

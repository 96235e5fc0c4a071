"""The history of interactions in one SQLite file."""

import asyncio
import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kindred.adapters.sqlite.interaction_batches import UNKNOWN_TIME, Batch, batch_of, sorted_batches
from kindred.adapters.sqlite.store import Row, SqliteStore, database_path, select_in
from kindred.adapters.sqlite.tombstones import TOMBSTONES, forgetting, removing, standing
from kindred.core.position import Position
from kindred.ports.interactions import EVERY_TYPE, InteractionColumns, InteractionRow, outliving

# Clustered by user: a user's newest rows are one short range, and forgetting a user deletes one.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (user INTEGER PRIMARY KEY, user_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS event_types (type INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS interactions (
    user INTEGER NOT NULL,
    time INTEGER NOT NULL,
    row_id BLOB NOT NULL,
    item INTEGER NOT NULL,
    type INTEGER NOT NULL,
    value REAL,
    PRIMARY KEY (user, time, row_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS interactions_item ON interactions (item, time, row_id);
CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO totals VALUES ('rows', 0);
"""
# Bulk insertion touches the item index all over: half as fast with the default 2 MiB and 1,000 pages.
_CACHE_KIBIBYTES = 65_536
_CHECKPOINT_PAGES = 8_000
_LATEST = 2**63 - 1
_INSERT = "INSERT OR IGNORE INTO interactions (user, time, row_id, item, type, value) VALUES "
_ROWS_PER_STATEMENT = 100
_USERS_PER_TRIM = 1_000
_COLUMNS = (
    "row_id, (SELECT user_id FROM users WHERE users.user = interactions.user), item, "
    "(SELECT name FROM event_types WHERE event_types.type = interactions.type), time, value"
)
# One index seek per distinct item instead of a scan of every row.
_DISTINCT_ITEMS = """
WITH RECURSIVE each(item) AS (
    SELECT min(item) FROM interactions
    UNION ALL
    SELECT (SELECT min(item) FROM interactions WHERE item > each.item) FROM each WHERE each.item IS NOT NULL
) SELECT count(item) FROM each
"""


async def open_interactions(location: str, home: Path) -> "SqliteInteractions":
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteInteractions, database_path(location, home))


class SqliteInteractions(SqliteStore):
    """An InteractionStore clustered by (user, time, row id), with users and event types as small integers.

    A row id stands for one row for ever, so that the user and the time that come with it are part of its key.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA + TOMBSTONES)
        self._writer.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        self._writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")

    async def add(self, rows: Sequence[InteractionRow], position: Position) -> int:
        """Insert rows in one transaction, skipping known ones and what is gone; return how many were new."""
        batch = batch_of(rows)
        if batch is None:
            return 0

        def work(connection: sqlite3.Connection) -> int:
            gone = standing(connection, batch.users, position)
            left = batch_of(outliving(rows, gone)) if gone else batch
            return 0 if left is None else _add(connection, left)

        return await self._write(work)

    async def add_columns(self, columns: InteractionColumns) -> int:
        """Insert many rows, skipping known row ids; return how many were new.

        They are sorted by user and time and stored 50,000 to a transaction, so that other writers get their turn;
        a call that was cut off is made whole by making it again.
        """
        new = 0
        batches = sorted_batches(columns)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            new += await self._write(lambda connection, batch=batch: _add(connection, batch))  # type: ignore[misc]
        return new

    async def by_user(self, user_id: str, limit: int, before: int | None = None) -> list[InteractionRow]:
        """Return a user's rows newest first, rows without time last; `before` (ms) leaves out rows at or after it."""
        statement = (
            f"SELECT {_COLUMNS} FROM interactions WHERE user = (SELECT user FROM users WHERE user_id = ?) "
            "AND time < ? ORDER BY time DESC, row_id DESC LIMIT ?"
        )
        parameters = (user_id, _LATEST if before is None else before, max(limit, 0))
        return await self._read(lambda connection: _rows(connection, statement, parameters), limit)

    async def by_item(self, item: int, limit: int) -> list[InteractionRow]:
        """Return an item's rows, newest first; rows without time come last."""
        statement = f"SELECT {_COLUMNS} FROM interactions WHERE item = ? ORDER BY time DESC, row_id DESC LIMIT ?"
        parameters = (int(item), max(limit, 0))
        return await self._read(lambda connection: _rows(connection, statement, parameters), limit)

    async def remove(
        self, user_id: str, item: int, position: Position, event_types: Sequence[str] | None = None
    ) -> int:
        """Delete a user's rows of one item, or those of some event types alone; return how many there were."""
        names = [EVERY_TYPE] if event_types is None else list(event_types)

        def work(connection: sqlite3.Connection) -> int:
            kinds = removing(connection, user_id, int(item), names, position)
            return _remove(connection, user_id, int(item), None if kinds == [EVERY_TYPE] else kinds)

        return await self._write(work)

    async def trim(self, before: int) -> int:
        """Delete rows of before a time (ms), a thousand users to a transaction; those without time stay."""
        gone, first = 0, 0
        while True:
            went, following = await self._write(
                lambda connection, first=first: _trim(connection, before, first)  # type: ignore[misc]
            )
            gone += went
            if following is None:
                return gone
            first = following

    async def forget(self, user_id: str, position: Position) -> int:
        """Delete a user's rows; return how many there were."""
        return await self._write(
            lambda connection: _forget(connection, user_id) if forgetting(connection, user_id, position) else 0
        )

    async def counts(self) -> tuple[int, int, int]:
        """Return how many rows, distinct users and distinct items there are."""
        return await self._scan(_counts)


def _rows(connection: sqlite3.Connection, statement: str, parameters: Row) -> list[InteractionRow]:
    return [
        InteractionRow(
            row_id, user_id, item, name, None if time == UNKNOWN_TIME else time, math.nan if value is None else value
        )
        for row_id, user_id, item, name, time, value in connection.execute(statement, parameters)
    ]


def _add(connection: sqlite3.Connection, batch: Batch) -> int:
    users = _numbers(connection, "users", "user", "user_id", batch.users)
    types = _numbers(connection, "event_types", "type", "name", batch.event_types)
    values = batch.flat([users[name] for name in batch.users], [types[name] for name in batch.event_types])
    before = connection.total_changes
    width = _ROWS_PER_STATEMENT * Batch.COLUMNS
    whole = len(values) - len(values) % width
    many = _INSERT + ",".join(["(?, ?, ?, ?, ?, ?)"] * _ROWS_PER_STATEMENT)
    connection.executemany(many, (values[start : start + width] for start in range(0, whole, width)))
    rest = (values[start : start + Batch.COLUMNS] for start in range(whole, len(values), Batch.COLUMNS))
    connection.executemany(_INSERT + "(?, ?, ?, ?, ?, ?)", rest)
    new = connection.total_changes - before
    connection.execute("UPDATE totals SET amount = amount + ? WHERE name = 'rows'", (new,))
    return new


def _numbers(connection: sqlite3.Connection, table: str, number: str, name: str, names: list[str]) -> dict[str, int]:
    """Return the small integer of each name, giving one to those that have none."""
    statement = f"SELECT {name}, {number} FROM {table} WHERE {name} IN ({{}})"
    found: dict[str, int] = dict(select_in(connection, statement, names))
    missing = [(each,) for each in names if each not in found]
    if missing:
        connection.executemany(f"INSERT INTO {table} ({name}) VALUES (?)", missing)
        found |= dict(select_in(connection, statement, [each for (each,) in missing]))
    return found


def _remove(connection: sqlite3.Connection, user_id: str, item: int, event_types: list[str] | None) -> int:
    found = connection.execute("SELECT user FROM users WHERE user_id = ?", (user_id,)).fetchone()
    if found is None:
        return 0
    statement, parameters = "DELETE FROM interactions WHERE user = ? AND item = ?", [*found, item]
    if event_types is not None:
        marks = ",".join("?" * len(event_types))
        statement += f" AND type IN (SELECT type FROM event_types WHERE name IN ({marks}))"
        parameters += event_types
    gone = connection.execute(statement, parameters).rowcount
    if gone and connection.execute("SELECT 1 FROM interactions WHERE user = ? LIMIT 1", found).fetchone() is None:
        connection.execute("DELETE FROM users WHERE user = ?", found)
    connection.execute("UPDATE totals SET amount = amount - ? WHERE name = 'rows'", (gone,))
    return gone


def _trim(connection: sqlite3.Connection, before: int, first: int) -> tuple[int, int | None]:
    """Delete old rows of some users from number `first` on; return how many, and where to go on."""
    statement = "SELECT user FROM users WHERE user >= ? ORDER BY user LIMIT 1 OFFSET ?"
    found = connection.execute(statement, (first, _USERS_PER_TRIM)).fetchone()
    following = None if found is None else int(found[0])
    users = (first, _LATEST if following is None else following)
    gone = connection.execute(
        "DELETE FROM interactions WHERE user IN (SELECT user FROM users WHERE user >= ? AND user < ?) "
        "AND time > ? AND time < ?",
        (*users, UNKNOWN_TIME, before),
    ).rowcount
    if gone:
        connection.execute(
            "DELETE FROM users WHERE user >= ? AND user < ? "
            "AND NOT EXISTS (SELECT 1 FROM interactions WHERE interactions.user = users.user)",
            users,
        )
        connection.execute("UPDATE totals SET amount = amount - ? WHERE name = 'rows'", (gone,))
    return gone, following


def _forget(connection: sqlite3.Connection, user_id: str) -> int:
    found = connection.execute("SELECT user FROM users WHERE user_id = ?", (user_id,)).fetchone()
    if found is None:
        return 0
    forgotten = connection.execute("DELETE FROM interactions WHERE user = ?", found).rowcount
    connection.execute("DELETE FROM users WHERE user = ?", found)
    connection.execute("UPDATE totals SET amount = amount - ? WHERE name = 'rows'", (forgotten,))
    return forgotten


def _counts(connection: sqlite3.Connection) -> tuple[int, int, int]:
    statements = ("SELECT amount FROM totals WHERE name = 'rows'", "SELECT count(*) FROM users", _DISTINCT_ITEMS)
    rows, users, items = (int(connection.execute(statement).fetchone()[0]) for statement in statements)
    return rows, users, items

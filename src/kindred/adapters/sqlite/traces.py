"""Traces and replay records of requests in one SQLite file."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kindred.adapters.sqlite.store import SqliteStore, database_path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (
    request_id TEXT PRIMARY KEY, time INTEGER NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traces_time ON traces (time);
"""
_SWEPT_PER_TRANSACTION = 2_000


async def open_traces(location: str, home: Path) -> "SqliteTraces":
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteTraces, database_path(location, home))


class SqliteTraces(SqliteStore):
    """A TraceStore that syncs lazily (`synchronous=NORMAL`): records survive the process, not a loss of power."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA, synchronous="NORMAL")

    async def put(self, records: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep (request id, time in ms, bytes) records in one transaction; a later record of a request replaces it."""
        if records:
            await self._write(lambda connection: _replace(connection, records))

    async def get(self, request_id: str) -> bytes | None:
        """Return what is kept of a request, or None."""
        statement = "SELECT data FROM traces WHERE request_id = ?"
        row = await self._read(lambda connection: connection.execute(statement, (request_id,)).fetchone(), 1)
        return None if row is None else bytes(row[0])

    async def sweep(self, before: int) -> int:
        """Delete records older than `before` (ms), 2,000 to a transaction so that others can write; return how many."""
        total = 0
        while True:
            swept = await self._write(lambda connection: _sweep(connection, before))
            total += swept
            if swept < _SWEPT_PER_TRANSACTION:
                return total


def _replace(connection: sqlite3.Connection, records: Sequence[tuple[str, int, bytes]]) -> None:
    connection.executemany(
        "INSERT INTO traces (request_id, time, data) VALUES (?, ?, ?) "
        "ON CONFLICT (request_id) DO UPDATE SET time = excluded.time, data = excluded.data",
        records,
    )


def _sweep(connection: sqlite3.Connection, before: int) -> int:
    statement = (
        "DELETE FROM traces WHERE request_id IN (SELECT request_id FROM traces WHERE time < ? ORDER BY time LIMIT ?)"
    )
    return connection.execute(statement, (before, _SWEPT_PER_TRANSACTION)).rowcount

"""Versions of the placements in one SQLite file."""

import asyncio
import sqlite3
from pathlib import Path

from kindred.adapters.sqlite.store import Row, SqliteStore, database_path
from kindred.core.errors import Conflict
from kindred.ports.rules import RuleVersion, out_of_turn

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rules (
    version INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL,
    body BLOB NOT NULL
);
"""
_COLUMNS = "version, created, author, note"
_NEWEST = f"SELECT {_COLUMNS} FROM rules ORDER BY version DESC LIMIT 1"


async def open_rules(location: str, home: Path) -> "SqliteRules":
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteRules, database_path(location, home))


class SqliteRules(SqliteStore):
    """A RuleStore."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA)

    async def newest(self) -> RuleVersion | None:
        """Return the last version, or None before the first; microseconds, in the event loop."""
        row = await self._read(lambda connection: connection.execute(_NEWEST).fetchone(), 1)
        return None if row is None else _version(row)

    async def versions(self, below: int | None, most: int) -> list[RuleVersion]:
        """Return up to `most` versions below a number, newest first."""
        statement = f"SELECT {_COLUMNS} FROM rules WHERE ? IS NULL OR version < ? ORDER BY version DESC LIMIT ?"
        rows = await self._scan(lambda connection: connection.execute(statement, (below, below, most)).fetchall())
        return [_version(row) for row in rows]

    async def body(self, version: int) -> bytes | None:
        """Return the document of a version, or None."""
        statement = "SELECT body FROM rules WHERE version = ?"
        row = await self._scan(lambda connection: connection.execute(statement, (version,)).fetchone())
        return None if row is None else bytes(row[0])

    async def append(self, version: RuleVersion, body: bytes) -> None:
        """Keep a new version; raise Conflict unless it is the next one."""
        await self._write(lambda connection: _append(connection, version, body))


def _append(connection: sqlite3.Connection, version: RuleVersion, body: bytes) -> None:
    (newest,) = connection.execute("SELECT coalesce(max(version), 0) FROM rules").fetchone()
    if version.version != newest + 1:
        raise Conflict(out_of_turn(version.version, newest))
    row = (version.version, version.created, version.author, version.note, body)
    connection.execute(f"INSERT INTO rules ({_COLUMNS}, body) VALUES (?, ?, ?, ?, ?)", row)


def _version(row: Row) -> RuleVersion:
    version, created, author, note = row
    return RuleVersion(version=version, created=created, author=author, note=note)

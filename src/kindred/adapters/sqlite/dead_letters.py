"""Dead letters in one SQLite file."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kindred.adapters.sqlite.store import SqliteStore, database_path
from kindred.core.position import Position
from kindred.ports.log import DeadLetter

_SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
    epoch INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    place INTEGER NOT NULL,
    reason TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (epoch, partition, place)
);
"""
_PAGE = """
SELECT epoch, partition, place, reason, data FROM letters
WHERE (epoch, partition, place) > (?, ?, ?) ORDER BY epoch, partition, place LIMIT ?
"""
_BEFORE_ALL = Position(-1, -1, -1)


class SqliteDeadLetters(SqliteStore):
    """Letters by position, each burial synced."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records durably; the first burial of a position counts."""
        rows = [(*letter.position, letter.reason, letter.data) for letter in letters]
        if rows:
            await self._write(
                lambda connection: connection.executemany("INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?, ?)", rows)
            )

    async def letters(self, after: Position | None, limit: int) -> list[DeadLetter]:
        """Return up to `limit` letters behind `after`, in order of position."""
        parameters = (*(after or _BEFORE_ALL), max(limit, 0))

        def work(connection: sqlite3.Connection) -> list[DeadLetter]:
            return [
                DeadLetter(Position(*position), reason, data)
                for *position, reason, data in connection.execute(_PAGE, parameters)
            ]

        return await self._read(work, limit)

    async def discard(self, positions: Sequence[Position]) -> int:
        """Delete letters; return how many there were."""
        rows = [tuple(position) for position in positions]
        statement = "DELETE FROM letters WHERE (epoch, partition, place) = (?, ?, ?)"

        def work(connection: sqlite3.Connection) -> int:
            before = connection.total_changes
            connection.executemany(statement, rows)
            return connection.total_changes - before

        return await self._write(work) if rows else 0


async def open_dead_letters(location: str, home: Path) -> SqliteDeadLetters:
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteDeadLetters, database_path(location, home))

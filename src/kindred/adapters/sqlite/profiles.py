"""Users' profiles in one SQLite file."""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from kindred.adapters.sqlite.store import SqliteStore, batches, database_path, select_in
from kindred.core.errors import InvalidInput
from kindred.core.ids import hashed_id
from kindred.core.position import Position
from kindred.core.profile import Profile

# A deleted profile leaves a position under a hash, and so nobody's name.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS profiles (user_id TEXT PRIMARY KEY, profile TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (user BLOB PRIMARY KEY, position BLOB NOT NULL) WITHOUT ROWID;
"""
_MOVE = """
INSERT INTO positions VALUES (?, ?)
ON CONFLICT DO UPDATE SET position = excluded.position WHERE excluded.position > position
"""
_PROFILES_PER_TRANSACTION = 10_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Profile).decode


async def open_profiles(location: str, home: Path) -> "SqliteProfiles":
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteProfiles, database_path(location, home))


class SqliteProfiles(SqliteStore):
    """A ProfileStore whose profiles are JSON text, so that SQLite's own tools can read them."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA)

    async def upsert(self, profiles: Sequence[Profile], position: Position | None = None) -> None:
        """Create or replace profiles, 10,000 to a transaction; of equal ids the last one wins."""
        texts = {profile.user_id: _text(profile) for profile in profiles}
        for batch in batches(texts, _PROFILES_PER_TRANSACTION):

            def work(connection: sqlite3.Connection, batch: list[str] = batch) -> None:
                _replace(connection, [(user_id, texts[user_id]) for user_id in _moved(connection, batch, position)])

            await self._write(work)

    async def get(self, user_ids: Sequence[str]) -> list[Profile | None]:
        """Return the profile of each id, in order."""
        statement = "SELECT user_id, profile FROM profiles WHERE user_id IN ({})"
        rows = await self._read(lambda connection: select_in(connection, statement, user_ids), len(user_ids))
        found = {user_id: _decode(text) for user_id, text in rows}
        return [found.get(user_id) for user_id in user_ids]

    async def page(self, after: str, limit: int) -> list[Profile]:
        """Return profiles in order of id (by code point), behind `after`."""
        statement = "SELECT profile FROM profiles WHERE user_id > ? ORDER BY user_id LIMIT ?"
        parameters = (after, max(limit, 0))
        rows = await self._read(lambda connection: connection.execute(statement, parameters).fetchall(), limit)
        return [_decode(text) for (text,) in rows]

    async def delete(self, user_ids: Sequence[str], position: Position | None = None) -> int:
        """Delete profiles; return how many there were."""
        return await self._write(lambda connection: _delete(connection, _moved(connection, user_ids, position)))


def _text(profile: Profile) -> str:
    try:
        return _encode(profile).decode()
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput.at(f"/users/{profile.user_id!a}", f"cannot be written as JSON: {error}") from error


def _moved(connection: sqlite3.Connection, user_ids: Sequence[str], position: Position | None) -> Sequence[str]:
    """Move users on to a position; return those that stood before it."""
    if position is None:
        return user_ids
    place = position.sortable()
    return [
        user_id
        for user_id in dict.fromkeys(user_ids)
        if connection.execute(_MOVE, (hashed_id(user_id), place)).rowcount
    ]


def _replace(connection: sqlite3.Connection, rows: Iterable[tuple[str, str]]) -> None:
    connection.executemany(
        "INSERT INTO profiles (user_id, profile) VALUES (?, ?) "
        "ON CONFLICT (user_id) DO UPDATE SET profile = excluded.profile",
        rows,
    )


def _delete(connection: sqlite3.Connection, user_ids: Iterable[str]) -> int:
    keys = [(user_id,) for user_id in user_ids]
    return connection.executemany("DELETE FROM profiles WHERE user_id = ?", keys).rowcount if keys else 0

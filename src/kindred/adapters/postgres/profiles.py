"""Users' profiles in PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from kindred.adapters.postgres.database import Connection
from kindred.adapters.postgres.store import PostgresStore, affected, batches, json_text
from kindred.core.ids import hashed_id
from kindred.core.position import Position
from kindred.core.profile import Profile

# In order of id, so that two calls never wait for one another.
_REPLACE = """
INSERT INTO profiles (user_id, profile)
SELECT * FROM unnest($1::text[], $2::jsonb[])
ON CONFLICT (user_id) DO UPDATE SET profile = excluded.profile
"""

# In order of hash, for the same reason.
_MOVE = """
INSERT INTO profile_positions AS known SELECT hash, $2 FROM unnest($1::bytea[]) AS hash ORDER BY hash
ON CONFLICT (user_hash) DO UPDATE SET position = excluded.position WHERE excluded.position > known.position
RETURNING user_hash
"""

_decode = msgspec.json.Decoder(Profile).decode


async def open_profiles(location: str, home: Path) -> "PostgresProfiles":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresProfiles.opened(location, home)


class PostgresProfiles(PostgresStore):
    """A ProfileStore whose profiles are jsonb."""

    async def upsert(self, profiles: Sequence[Profile], position: Position | None = None) -> None:
        """Create or replace profiles, 5,000 to a transaction; of equal ids the last one wins."""
        texts = {each.user_id: json_text(each, f"/users/{each.user_id!a}") for each in profiles}
        for batch in batches(sorted(texts)):

            async def work(connection: Connection, batch: list[str] = batch) -> None:
                keys = await _moved(connection, batch, position)
                await connection.execute(_REPLACE, keys, [texts[key] for key in keys])

            await self._open.transact(work)

    async def get(self, user_ids: Sequence[str]) -> list[Profile | None]:
        """Return the profile of each id, in order."""
        statement = "SELECT user_id, profile::text FROM profiles WHERE user_id = ANY($1::text[])"
        found: dict[str, Profile] = {}
        for keys in batches(dict.fromkeys(user_ids)):
            rows = await self._fetch(statement, keys)
            found |= {user_id: _decode(text) for user_id, text in rows}
        return [found.get(user_id) for user_id in user_ids]

    async def page(self, after: str, limit: int) -> list[Profile]:
        """Return profiles in order of id (by code point), behind `after`."""
        statement = "SELECT profile::text FROM profiles WHERE user_id > $1 ORDER BY user_id LIMIT $2"
        rows = await self._fetch(statement, after, max(limit, 0))
        return [_decode(text) for (text,) in rows]

    async def delete(self, user_ids: Sequence[str], position: Position | None = None) -> int:
        """Delete profiles; return how many there were."""
        gone = 0
        for batch in batches(dict.fromkeys(user_ids)):

            async def work(connection: Connection, batch: list[str] = batch) -> int:
                keys = await _moved(connection, batch, position)
                return affected(await connection.execute("DELETE FROM profiles WHERE user_id = ANY($1::text[])", keys))

            gone += await self._open.transact(work)
        return gone


async def _moved(connection: Connection, user_ids: list[str], position: Position | None) -> list[str]:
    """Move users on to a position; return those that stood before it."""
    if position is None:
        return user_ids
    hashes = {hashed_id(user_id): user_id for user_id in user_ids}
    rows = await connection.fetch(_MOVE, list(hashes), position.sortable())
    return sorted(hashes[key] for (key,) in rows)

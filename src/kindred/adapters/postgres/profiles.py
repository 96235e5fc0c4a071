"""Users' profiles in PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from kindred.adapters.postgres.store import PostgresStore, batches, json_text
from kindred.core.profile import Profile

# In order of id, so that two calls never wait for one another.
_REPLACE = """
INSERT INTO profiles (user_id, profile)
SELECT * FROM unnest($1::text[], $2::jsonb[])
ON CONFLICT (user_id) DO UPDATE SET profile = excluded.profile
"""

_decode = msgspec.json.Decoder(Profile).decode


async def open_profiles(location: str, home: Path) -> "PostgresProfiles":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresProfiles.opened(location, home)


class PostgresProfiles(PostgresStore):
    """A ProfileStore whose profiles are jsonb."""

    async def upsert(self, profiles: Sequence[Profile]) -> None:
        """Create or replace profiles, 5,000 to a transaction; of equal ids the last one wins."""
        texts = {each.user_id: json_text(each, f"/users/{each.user_id!a}") for each in profiles}
        for batch in batches(sorted(texts.items())):
            keys, values = zip(*batch, strict=True)
            await self._execute(_REPLACE, keys, values)

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

    async def delete(self, user_ids: Sequence[str]) -> int:
        """Delete profiles; return how many there were."""
        statement = "DELETE FROM profiles WHERE user_id = ANY($1::text[])"
        return sum([await self._execute(statement, keys) for keys in batches(dict.fromkeys(user_ids))])

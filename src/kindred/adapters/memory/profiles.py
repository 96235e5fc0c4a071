"""Users' profiles in this process's memory."""

from collections.abc import Sequence
from heapq import nsmallest
from pathlib import Path

import msgspec

from kindred.core.profile import Profile
from kindred.ports.resource import Capabilities


async def open_profiles(location: str, home: Path) -> "MemoryProfiles":
    """Open an empty store; `location` and `home` are of no account."""
    return MemoryProfiles()


class MemoryProfiles:
    """A ProfileStore that ends with the process: for tests and for replays."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._profiles: dict[str, Profile] = {}

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def upsert(self, profiles: Sequence[Profile]) -> None:
        """Create or replace profiles; of equal ids the last one wins."""
        self._profiles |= {profile.user_id: _copy(profile) for profile in profiles}

    async def get(self, user_ids: Sequence[str]) -> list[Profile | None]:
        """Return the profile of each id, in order."""
        return [self._profiles.get(user_id) for user_id in user_ids]

    async def page(self, after: str, limit: int) -> list[Profile]:
        """Return profiles in order of id (by code point), behind `after`."""
        user_ids = nsmallest(max(limit, 0), (user_id for user_id in self._profiles if user_id > after))
        return [self._profiles[user_id] for user_id in user_ids]

    async def delete(self, user_ids: Sequence[str]) -> int:
        """Delete profiles; return how many there were."""
        return sum(self._profiles.pop(user_id, None) is not None for user_id in user_ids)


def _copy(profile: Profile) -> Profile:
    """Return what a store that writes JSON would give back, sharing nothing with the caller's attributes."""
    return msgspec.json.decode(msgspec.json.encode(profile), type=Profile)

"""Users' profiles in this process's memory."""

from collections.abc import Sequence
from heapq import nsmallest
from pathlib import Path

import msgspec

from kindred.core.ids import hashed_id
from kindred.core.position import Position
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
        self._positions: dict[bytes, Position] = {}

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def upsert(self, profiles: Sequence[Profile], position: Position | None = None) -> None:
        """Create or replace profiles; of equal ids the last one wins."""
        made = {profile.user_id: _copy(profile) for profile in profiles}
        self._profiles |= {user_id: made[user_id] for user_id in self._moved(list(made), position)}

    async def get(self, user_ids: Sequence[str]) -> list[Profile | None]:
        """Return the profile of each id, in order."""
        return [self._profiles.get(user_id) for user_id in user_ids]

    async def page(self, after: str, limit: int) -> list[Profile]:
        """Return profiles in order of id (by code point), behind `after`."""
        user_ids = nsmallest(max(limit, 0), (user_id for user_id in self._profiles if user_id > after))
        return [self._profiles[user_id] for user_id in user_ids]

    async def delete(self, user_ids: Sequence[str], position: Position | None = None) -> int:
        """Delete profiles; return how many there were."""
        return sum(self._profiles.pop(user_id, None) is not None for user_id in self._moved(user_ids, position))

    def _moved(self, user_ids: Sequence[str], position: Position | None) -> list[str]:
        """Move users on to a position; return those that stood before it."""
        if position is None:
            return list(user_ids)
        hashes = {user_id: hashed_id(user_id) for user_id in user_ids}
        moved = [each for each, key in hashes.items() if key not in self._positions or self._positions[key] < position]
        self._positions |= {hashes[user_id]: position for user_id in moved}
        return moved


def _copy(profile: Profile) -> Profile:
    """Return what a store that writes JSON would give back, sharing nothing with the caller's attributes."""
    return msgspec.json.decode(msgspec.json.encode(profile), type=Profile)

"""The catalogue and the users' profiles."""

from collections.abc import Sequence
from typing import Protocol

from kindred.core.item import CatalogItem, Item
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ports.resource import Resource


class CatalogStore(Resource, Protocol):
    """Items with permanent int32 ordinals, dense from 0 and never reused, and a commit-ordered feed of changes."""

    async def upsert(self, items: Sequence[Item], now: int) -> list[int]:
        """Create or replace items, listed from then on, and return their ordinals; an unchanged one makes no change."""
        ...

    async def resolve(self, item_ids: Sequence[str], now: int) -> list[int]:
        """Return the ordinals of ids, reserving one (unlisted) for an id not seen before."""
        ...

    async def delete(self, item_ids: Sequence[str], now: int) -> int:
        """Unlist items, keeping their ordinals; return how many were listed."""
        ...

    async def get(self, item_ids: Sequence[str]) -> list[CatalogItem | None]:
        """Return what is known under each id, in order."""
        ...

    async def by_ordinals(self, ordinals: Sequence[int]) -> list[CatalogItem | None]:
        """Return what stands at each ordinal, in order."""
        ...

    async def page(self, after: str, limit: int) -> list[CatalogItem]:
        """Return listed items in order of id, behind `after`."""
        ...

    async def changes_since(self, seq: int, limit: int) -> list[CatalogItem]:
        """Return items whose last change is behind `seq`, in order of their sequence numbers, unlisted ones too."""
        ...


class ProfileStore(Resource, Protocol):
    """Users' profiles.

    With a position a write says how far its writer follows the log: where a user's profile was written or deleted at
    that position or a later one, it stays as it is. What is kept for that knows its user by a hash alone.
    """

    async def upsert(self, profiles: Sequence[Profile], position: Position | None = None) -> None:
        """Create or replace profiles, without a position whatever stands there."""
        ...

    async def get(self, user_ids: Sequence[str]) -> list[Profile | None]:
        """Return the profile of each id, in order."""
        ...

    async def page(self, after: str, limit: int) -> list[Profile]:
        """Return profiles in order of id, behind `after`."""
        ...

    async def delete(self, user_ids: Sequence[str], position: Position | None = None) -> int:
        """Delete profiles, without a position whatever stands there; return how many there were."""
        ...

"""The reserves that all processes share, in the cache: one entry per user, so that forgetting someone is one delete."""

import contextlib

from kindred.core.errors import KindredError
from kindred.ports.operations import Cache, reserves_key
from kindred.recommend.reserves.reserve import Reserve, pack, unpack

MOST_VARIANTS = 4
"""Reserves kept of one user; the one that was made longest ago goes first."""


class SharedReserves:
    """Reads and writes reserves in a cache that may fail at any time: then there are none."""

    def __init__(self, cache: Cache) -> None:
        """Keep them in `cache`."""
        self._cache = cache

    async def find(self, user_id: str, variant: int, now: int) -> Reserve | None:
        """Return a user's reserve that is not past its time at `now` (ms)."""
        return dict(await self._of(user_id, now)).get(variant)

    async def keep(self, user_id: str, variant: int, reserve: Reserve, now: int) -> None:
        """Put a reserve beside the user's others; of two writers at once the later one's stays."""
        others = [(key, one) for key, one in await self._of(user_id, now) if key != variant]
        newest = sorted(others, key=lambda each: -each[1].made)[: MOST_VARIANTS - 1]
        kept = [(variant, reserve), *newest]
        seconds = (max(one.until for _, one in kept) - now) / 1000
        with contextlib.suppress(KindredError):
            await self._cache.put(reserves_key(user_id), pack(kept), seconds)

    async def drop(self, user_id: str) -> None:
        """Drop all reserves of a user."""
        with contextlib.suppress(KindredError):
            await self._cache.delete([reserves_key(user_id)])

    async def _of(self, user_id: str, now: int) -> list[tuple[int, Reserve]]:
        with contextlib.suppress(KindredError):
            (data,) = await self._cache.get([reserves_key(user_id)])
            if data is not None:
                return [(variant, one) for variant, one in unpack(data) if one.until > now]
        return []

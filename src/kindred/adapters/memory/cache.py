"""A bounded cache in one process's memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from kindred.ports.resource import Capabilities

MAX_BYTES = 64 << 20
# What an entry costs besides its key and value, about.
_ENTRY_BYTES = 200


class MemoryCache:
    """Least recently used entries go first when `max_bytes` are passed; `clock` tells seconds."""

    def __init__(self, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0
        self._max_bytes = max_bytes
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        """Return that entries expire."""
        return Capabilities(ttl=True)

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is kept and not expired."""
        now = self._clock()
        return [self._get(key, now) for key in keys]

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for `ttl` seconds, at the cost of the least recently used ones."""
        self._drop(key)
        if ttl <= 0 or _size(key, value) > self._max_bytes:
            return
        self._entries[key] = self._clock() + ttl, value
        self._size += _size(key, value)
        while self._size > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def delete(self, keys: Sequence[str]) -> None:
        """Drop keys."""
        for key in keys:
            self._drop(key)

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0

    def _get(self, key: str, now: float) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _size(key, entry[1])


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES


async def open_cache(location: str, home: Path) -> MemoryCache:
    """Return a new empty cache; the place is not used."""
    return MemoryCache()

"""A cache in Redis that all processes of a fleet share, and that costs no request more than a moment."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from kindred.adapters.redis.address import Address, parse
from kindred.adapters.redis.server import Server
from kindred.core.errors import StoreUnavailable
from kindred.ports.resource import Capabilities

TIMEOUT = 0.1
# How long a server that failed is left alone; one call then tries it again.
REST = 1.0
# Keys that could not be dropped or replaced are remembered up to this number, and dropped when the server is back.
MAX_OWED = 10_000

_logger = logging.getLogger(__name__)


class RedisCache:
    """Values under `<prefix>:c:<key>` with a time to live; the server may evict them (`allkeys-lru`).

    While the server is away reads find nothing and writes do nothing, within the timeout (0.1 s) at first and at once
    for a second after it. What this process failed to drop or replace meanwhile is dropped before its next call.
    """

    def __init__(self, address: Address, clock: Callable[[], float] | None = None) -> None:
        """Remember where the server is; nothing is opened yet. `clock` tells seconds."""
        self._server = Server(address)
        self._address = address
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._rests_until: float | None = None
        self._owed: set[str] = set()

    @property
    def capabilities(self) -> Capabilities:
        """Return shared, and that entries expire."""
        return Capabilities(shared=True, ttl=True)

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is kept and not expired; nothing for each key while the server is away."""
        if not keys:
            return []
        found = await self._tried(lambda: self._server.call("MGET", *map(self._name, keys)))
        return [None] * len(keys) if found is None else found

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for `ttl` seconds, to the millisecond."""
        milliseconds = int(ttl * 1000)
        if milliseconds <= 0:
            return await self.delete([key])
        done = await self._tried(lambda: self._server.call("SET", self._name(key), value, "PX", milliseconds))
        if done is None:
            self._owe([key])

    async def delete(self, keys: Sequence[str]) -> None:
        """Drop keys; while the server is away, when it is back."""
        if keys and await self._tried(lambda: self._server.call("UNLINK", *map(self._name, keys))) is None:
            self._owe(keys)

    async def check(self) -> None:
        """Return when the server answers; raise StoreUnavailable."""
        await self._server.call("PING")

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _tried(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return the answer, or None where the server is away or is left alone."""
        if self._rests_until is not None:
            if self._clock() < self._rests_until:
                return None
            # Others keep away while this call finds out.
            self._rests_until = self._clock() + REST
        try:
            if self._owed:
                owed = set(self._owed)
                await self._server.call("UNLINK", *map(self._name, owed))
                self._owed -= owed
            answer = await call()
        except StoreUnavailable as error:
            if self._rests_until is None:
                _logger.warning("the cache is away: %s", error)
            self._rests_until = self._clock() + REST
            return None
        if self._rests_until is not None:
            _logger.info("the cache is back")
            self._rests_until = None
        return answer

    def _owe(self, keys: Sequence[str]) -> None:
        if len(self._owed) + len(keys) <= MAX_OWED:
            self._owed.update(keys)

    def _name(self, key: str) -> bytes:
        return self._address.name("c", key)


async def open_cache(location: str, home: Path) -> RedisCache:
    """Open `redis://[user:password@]host[:port][/db][?prefix=kindred&timeout=0.1&tls=no]`; raise ConfigError.

    The server need not be there: a cache may be away at any time.
    """
    return RedisCache(parse(location, timeout=TIMEOUT))

"""What every cache must do: subclass `CacheSuite`, say how yours is opened, and run it by pytest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.ports.operations import Cache


class CacheSuite:
    """The suite of the Cache port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> Cache:
        """Open the cache kept under `home`."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its cache is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[Cache]:
        """Open the cache for a block and close it behind it."""
        cache = await self.open_store(home)
        try:
            yield cache
        finally:
            await cache.close()

    async def test_values_are_read_in_the_order_asked(self, tmp_path: Path) -> None:
        """One value or None per key, any bytes, repeated keys too."""
        async with self.opened(tmp_path) as cache:
            assert await cache.get(["a"]) == [None]
            assert await cache.get([]) == []
            await cache.put("a", bytes(range(256)), 60)
            await cache.put("b", b"", 60)
            assert await cache.get(["b", "x", "a", "b"]) == [b"", None, bytes(range(256)), b""]
            await cache.check()

    async def test_a_put_replaces(self, tmp_path: Path) -> None:
        """The last value counts, also with a shorter life; no life at all removes it."""
        async with self.opened(tmp_path) as cache:
            await cache.put("a", b"one", 60)
            await cache.put("a", b"two", 30)
            assert await cache.get(["a"]) == [b"two"]
            await cache.put("a", b"three", 0)
            assert await cache.get(["a"]) == [None]

    async def test_values_expire(self, tmp_path: Path) -> None:
        """Past its life a value is gone, while others stay."""
        async with self.opened(tmp_path) as cache:
            await cache.put("short", b"s", 0.01)
            await cache.put("long", b"l", 60)
            await asyncio.sleep(0.05)
            assert await cache.get(["short", "long"]) == [None, b"l"]

    async def test_deleted_keys_are_gone(self, tmp_path: Path) -> None:
        """Only the named ones; one that is not there does no harm."""
        async with self.opened(tmp_path) as cache:
            for key in "abc":
                await cache.put(key, key.encode(), 60)
            await cache.delete(["a", "c", "nothing"])
            assert await cache.get(["a", "b", "c"]) == [None, b"b", None]

    async def test_any_key_will_do(self, tmp_path: Path) -> None:
        """Empty, long and not-ASCII keys are kept apart."""
        keys = ["", "ü\U0001f600", "k" * 2_000, "k" * 2_001]
        async with self.opened(tmp_path) as cache:
            for number, key in enumerate(keys):
                await cache.put(key, b"%d" % number, 60)
            assert await cache.get(keys) == [b"0", b"1", b"2", b"3"]

    async def test_a_shared_cache_is_one_cache(self, tmp_path: Path) -> None:
        """Two openings of a shared cache see the same values."""
        async with self.opened(tmp_path) as cache:
            if not cache.capabilities.shared:
                return
            async with self.opened(tmp_path) as other:
                await cache.put("a", b"one", 60)
                assert await other.get(["a"]) == [b"one"]

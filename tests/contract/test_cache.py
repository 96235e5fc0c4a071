"""The caches keep their port's contract and their bounds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.redis import CacheRedis
from tests.engines.running import running

from kindred.adapters.local import cache as local
from kindred.adapters.memory import cache as memory
from kindred.adapters.redis import cache as redis
from kindred.ports.operations import Cache
from kindred.testing.cache_suite import CacheSuite


class TestMemoryCache(CacheSuite):
    async def open_store(self, home: Path) -> Cache:
        return await memory.open_cache("", home)


class TestLocalCache(CacheSuite):
    async def open_store(self, home: Path) -> Cache:
        return await local.open_cache("cache", home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheRedis]:
    with running(CacheRedis, tmp_path_factory.mktemp("redis")) as engine:
        yield engine


class TestRedisCache(CacheSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: CacheRedis) -> None:
        self.server = server

    async def open_store(self, home: Path) -> Cache:
        return await redis.open_cache(f"{self.server.location}?prefix={home.name}&timeout=5", home)


async def test_the_least_recently_used_go_first() -> None:
    cache = memory.MemoryCache(max_bytes=3 * 1_300)
    for key in "abc":
        await cache.put(key, b"x" * 1_000, 60)
    await cache.get(["a"])
    await cache.put("d", b"x" * 1_000, 60)
    assert [value is not None for value in await cache.get(list("abcd"))] == [True, False, True, True]
    await cache.put("huge", b"x" * 9_000, 60)
    assert await cache.get(["huge", "a"]) == [None, b"x" * 1_000]


async def test_a_local_cache_stays_within_its_bytes(tmp_path: Path) -> None:
    cache = local.LocalCache(tmp_path, max_bytes=1 << 20)
    for number in range(600):
        await cache.put(f"key {number}", b"x" * 10_000, 60)
        assert await cache.get([f"key {number}"]) == [b"x" * 10_000]
    await cache.put("huge", b"x" * (1 << 20), 60)
    assert await cache.get(["huge"]) == [None]
    await cache.close()
    size = sum(path.stat().st_size for path in tmp_path.rglob("data.mdb"))
    assert size <= 3 << 20


async def test_puts_walk_over_expired_entries_and_remove_them(tmp_path: Path) -> None:
    now = [0.0]
    cache = local.LocalCache(tmp_path, clock=lambda: now[0])
    for number in range(100):
        await cache.put(f"old {number}", b"x", 10)
    now[0] = 20.0
    for _ in range(40):
        await cache.put("new", b"y", 10)
    now[0] = 0.0
    assert [await cache.get([f"old {number}"]) for number in range(100)] == [[None]] * 100
    now[0] = 20.0
    assert await cache.get(["new"]) == [b"y"]
    await cache.close()


async def test_a_cache_of_an_earlier_start_of_the_machine_is_removed(tmp_path: Path) -> None:
    old = tmp_path / "cache" / "boot-earlier"
    old.mkdir(parents=True)
    (old / "data.mdb").write_bytes(b"torn")
    cache = await local.open_cache("", tmp_path)
    assert not old.exists()
    await cache.close()

"""Cache, leases, notices and traces on a Redis that is killed, paused, full, or forgets."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.engines.redis import CacheRedis, RedisServer, SmallRedis
from tests.engines.running import running

from kindred.adapters.redis.address import parse
from kindred.adapters.redis.cache import REST, RedisCache, open_cache
from kindred.adapters.redis.leases import RedisLeases, open_leases
from kindred.adapters.redis.notifier import RedisNotifier, open_notifier
from kindred.adapters.redis.traces import open_traces
from kindred.core.errors import StoreFull, StoreUnavailable


async def until(condition: Callable[[], Awaitable[bool]], patience: float = 30) -> None:
    async with asyncio.timeout(patience):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_a_cache_that_is_away_finds_nothing_and_raises_nothing(tmp_path: Path) -> None:
    now = [0.0]
    with running(CacheRedis, tmp_path / "redis") as engine:
        cache = RedisCache(parse(engine.location, timeout=0.2), clock=lambda: now[0])
        other = RedisCache(parse(engine.location, timeout=5))
        await cache.put("a", b"one", 600)
        await cache.put("b", b"two", 600)
        engine.pause()
        started = time.monotonic()
        assert await cache.get(["a", "b"]) == [None, None]
        assert time.monotonic() - started < 5
        # Left alone for a while: these do not even ask, or they would take 100 × 0.2 s.
        started = time.monotonic()
        for _ in range(100):
            assert await cache.get(["a"]) == [None]
        await cache.put("a", b"newer", 600)
        await cache.delete(["b"])
        assert time.monotonic() - started < 5
        with pytest.raises(StoreUnavailable):
            await cache.check()
        engine.resume()
        assert await other.get(["a", "b"]) == [b"one", b"two"]
        now[0] += REST + 1
        # What could not be replaced or dropped is dropped now, for everyone.
        assert await cache.get(["a", "b"]) == [None, None]
        assert await other.get(["a", "b"]) == [None, None]
        await cache.put("a", b"three", 600)
        engine.kill()
        assert await cache.get(["a"]) == [None]
        engine.start()
        now[0] += REST + 1
        await cache.put("a", b"four", 600)
        assert await cache.get(["a"]) == [b"four"]
        await cache.close()
        await other.close()


async def test_a_cache_that_was_never_there(tmp_path: Path) -> None:
    with running(CacheRedis, tmp_path / "redis") as engine:
        engine.kill()
        cache = await open_cache(engine.location, tmp_path)
        assert await cache.get(["a"]) == [None]
        await cache.put("a", b"one", 60)
        await cache.delete(["a"])
        await cache.close()


async def test_a_full_cache_evicts_and_one_that_may_not_finds_nothing(tmp_path: Path) -> None:
    value = b"x" * 100_000
    with running(CacheRedis, tmp_path / "evicts") as engine:
        engine.ask("CONFIG SET maxmemory 8mb")
        cache = await open_cache(f"{engine.location}?timeout=5", tmp_path)
        for number in range(200):
            await cache.put(str(number), value, 600)
        found = await cache.get([str(number) for number in range(200)])
        assert found[-1] == value
        assert 5 < sum(each is not None for each in found) < 100
        await cache.close()
    with running(SmallRedis, tmp_path / "full") as engine:
        cache = await open_cache(f"{engine.location}?timeout=5", tmp_path)
        for number in range(200):
            await cache.put(str(number), value, 600)
        assert await cache.get(["199"]) == [None]
        await cache.close()


async def test_a_lease_outlives_its_time_while_its_process_lives(tmp_path: Path) -> None:
    """Renewed beside an event loop that is blocked, as by training; free soon after the process stops renewing."""
    with running(CacheRedis, tmp_path / "redis") as engine:
        one, two = [await open_leases(f"{engine.location}?ttl=1.5", tmp_path) for _ in range(2)]
        first = await one.acquire("trainer", "one")
        assert first is not None
        time.sleep(2)
        assert await two.acquire("trainer", "two") is None
        assert await one.holds("trainer", first)
        one._stop.set()  # As a process that was killed: it renews no more.
        await until(lambda: _acquired(two, "trainer"))
        second = await two.acquire("trainer", "two")
        assert second is not None
        assert second > first
        assert not await one.holds("trainer", first)
        assert await two.holds("trainer", second)
        await one.close()
        assert await two.holds("trainer", second)
        await two.close()


async def _acquired(leases: RedisLeases, name: str) -> bool:
    return await leases.acquire(name, "two") is not None


async def test_a_lease_that_ran_out_and_went_to_nobody_is_taken_up_again(tmp_path: Path) -> None:
    with running(CacheRedis, tmp_path / "redis") as engine:
        leases = await open_leases(engine.location, tmp_path)
        fence = await leases.acquire("trainer", "one")
        assert fence is not None
        assert engine.ask("DEL kindred:lease:trainer").startswith(":1")
        assert await leases.holder("trainer") is None
        assert await leases.holds("trainer", fence)
        assert await leases.holder("trainer") == "one"
        await leases.close()


async def test_numbers_grow_on_a_server_that_forgot_them(tmp_path: Path) -> None:
    """A cache server keeps nothing over a restart: who held the lease has lost it, and the next number is greater."""
    with running(CacheRedis, tmp_path / "redis") as engine:
        one, two = [await open_leases(engine.location, tmp_path) for _ in range(2)]
        first = await one.acquire("consumer", "one")
        assert first is not None
        engine.kill()
        with pytest.raises(StoreUnavailable):
            await one.holds("consumer", first)
        engine.start()
        second = await two.acquire("consumer", "two")
        assert second is not None
        assert second > first
        assert not await one.holds("consumer", first)
        assert await one.acquire("consumer", "one") is None
        await one.close()
        assert await two.holds("consumer", second)
        await two.close()


async def test_giving_back_to_a_server_that_is_away_raises_nothing(tmp_path: Path) -> None:
    with running(CacheRedis, tmp_path / "redis") as engine:
        leases = await open_leases(f"{engine.location}?timeout=0.3", tmp_path)
        fence = await leases.acquire("consumer", "one")
        assert fence is not None
        engine.kill()
        await leases.release("consumer", fence)
        await leases.close()


async def test_notices_are_heard_again_after_a_kill_and_a_pause(tmp_path: Path) -> None:
    with running(CacheRedis, tmp_path / "redis") as engine:
        ears = RedisNotifier(parse(engine.location, timeout=0.5), ping_every=0.3)
        mouth = await open_notifier(engine.location, tmp_path)

        async def heard() -> bool:
            await mouth.publish("bundle")
            return await ears.wait(["bundle"], 0.05) == "bundle"

        await until(heard)
        engine.kill()
        await mouth.publish("bundle")
        while await ears.wait(["bundle"], 0) is not None:
            pass
        assert await ears.wait(["bundle"], 0.2) is None
        with pytest.raises(StoreUnavailable):
            await ears.check()
        engine.start()
        await until(heard)
        before = ears._subscriber
        engine.pause()
        # Silence is noticed and the connection given up, though nobody closed it.
        await until(lambda: _is_other(ears, before))
        engine.resume()
        await until(heard)
        await ears.close()
        await mouth.close()


async def _is_other(notifier: RedisNotifier, before: object) -> bool:
    return notifier._subscriber is not before


async def test_what_is_published_between_two_waits_ends_the_second(tmp_path: Path) -> None:
    with running(CacheRedis, tmp_path / "redis") as engine:
        notifier = await open_notifier(engine.location, tmp_path)

        async def listens() -> bool:
            await notifier.publish("a")
            return await notifier.wait(["a", "b"], 0.05) == "a"

        await until(listens)
        while await notifier.wait(["a", "b"], 0.2) is not None:
            pass
        await notifier.publish("b")
        # Another combination takes a subscription of its own; the first still has what it heard.
        assert await notifier.wait(["c"], 0.2) is None
        assert await notifier.wait(["a", "b"], 0) == "b"
        await notifier.close()


async def test_traces_are_bounded_and_expire(tmp_path: Path) -> None:
    with running(RedisServer, tmp_path / "redis") as engine:
        traces = await open_traces(f"{engine.location}?most=500", tmp_path)
        await traces.put([(f"rec_{number}", number, b"x") for number in range(1_200)])
        kept = [await traces.get(f"rec_{number}") for number in (0, 699, 700, 1_199)]
        assert kept == [None, None, b"x", b"x"]
        left = int(engine.ask("PTTL kindred:trace:rec_700").removeprefix(":"))
        assert 23 * 3_600_000 < left <= 24 * 3_600_000
        assert await traces.sweep(800) == 100
        assert engine.ask("ZCARD kindred:traces:").startswith(":400")
        await traces.close()


async def test_a_full_server_keeps_no_traces_and_says_so(tmp_path: Path) -> None:
    with running(SmallRedis, tmp_path / "redis") as engine:
        traces = await open_traces(engine.location, tmp_path)
        with pytest.raises(StoreFull):
            await traces.put([(f"rec_{number}", number, b"x" * 50_000) for number in range(1_000)])
        await traces.close()

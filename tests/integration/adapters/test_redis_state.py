"""State in Redis under kills, pauses, races, a full server, and servers that must not keep state."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.engines.redis import (
    AlwaysSyncedRedis,
    LockedRedis,
    RedisServer,
    SmallRedis,
    UnsafeRedis,
)
from tests.engines.running import running

from kindred.adapters.redis.state import READ_KEYS, RedisStateStore, open_state
from kindred.core.errors import ConfigError, StoreFull, StoreUnavailable
from kindred.core.position import START, Position
from kindred.ports.state import StateKey, StateRecord, StateView, StateWrite

KEYS = 1_200
WRITER = Path(__file__).with_name("redis_writer.py")


def at(offset: int, partition: int = 0) -> Position:
    return Position(0, partition, offset)


def write(key: str, offset: int, value: bytes = b"value") -> StateWrite:
    return StateWrite(StateKey("user@1", key), StateRecord(at(offset), value))


@contextmanager
def writer(engine: RedisServer) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, str(WRITER), engine.location, str(KEYS)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def acknowledged(process: "subprocess.Popen[str]", times: int) -> int:
    """Return the last offset of the next `times` that were acknowledged."""
    offset = -1
    while times:
        line = process.stdout.readline()
        assert line, "the writer ended"
        if line != "away\n":
            offset, times = int(line), times - 1
    return offset


async def stands(state: RedisStateStore) -> tuple[int, int, int]:
    """Return the watermark's offset, and the least and the greatest offset of all records (-1: one is missing)."""
    view = await state.read([StateKey("user@1", str(key)) for key in range(KEYS)])
    for record in filter(None, view.records):
        assert record.value == b"%d " % record.position.offset * 50
    offsets = [record.position.offset if record else -1 for record in view.records]
    return view.watermark.offset, min(offsets), max(offsets)


async def patiently(state: RedisStateStore) -> None:
    """Return once the server answers again; the same store object all along."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await state.check()
            except StoreUnavailable:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", [AlwaysSyncedRedis, RedisServer])
async def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: Path, kind: type[RedisServer]) -> None:
    """The server is killed under a writer that goes on by itself; a watermark never stands ahead of a record."""
    with running(kind, tmp_path / "redis") as engine, writer(engine) as process:
        state = await open_state(engine.location, tmp_path)
        before = -1
        for run in range(3):
            last = acknowledged(process, 5 + 3 * run)
            engine.kill()
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await state.watermark()
            engine.start()
            await patiently(state)
            watermark, least, _ = await stands(state)
            assert watermark <= least
            # With everysec the kernel has what was written even so: only the machine's end would cost it. The server
            # may put off a write while a sync is running; what it then forgets, its watermark does not claim.
            assert watermark >= (last if kind is AlwaysSyncedRedis else before)
            before = watermark
        assert acknowledged(process, 1) > last
        await state.close()


async def test_an_append_only_file_cut_anywhere_never_has_a_watermark_ahead(tmp_path: Path) -> None:
    """As a machine that lost power leaves it: the records are at least as far as the watermark, and writing goes on."""
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        for offset in range(3):
            record = StateRecord(at(offset), b"%d " % offset * 50)
            await state.write([StateWrite(StateKey("user@1", str(n)), record) for n in range(KEYS)], at(offset))
        engine.kill()
        (log,) = (engine.folder / "appendonlydir").glob("*.incr.aof")
        whole = log.read_bytes()
        seen = set()
        for part in (0.98, 0.9, 0.75, 0.6, 0.4, 0.1):
            log.write_bytes(whole[: int(len(whole) * part)])
            engine.start()
            await patiently(state)
            watermark, least, greatest = await stands(state)
            assert watermark <= least <= greatest <= watermark + 1
            seen.add(watermark)
            names = [key async for key, _ in state.scan("user@1")]
            assert len(names) == (KEYS if least >= 0 else len(set(names)))
            engine.kill()
        assert len(seen) > 2
        engine.start()
        await patiently(state)
        again = StateRecord(at(9), b"9 " * 50)
        assert await state.write([StateWrite(StateKey("user@1", str(n)), again) for n in range(KEYS)], at(9)) == KEYS
        assert await stands(state) == (9, 9, 9)
        assert len([key async for key, _ in state.scan("user@1")]) == KEYS
        await state.close()


async def test_a_paused_server_is_unavailable_within_the_timeout(tmp_path: Path) -> None:
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(f"{engine.location}?timeout=0.3", tmp_path)
        await state.write([write("a", 1)], at(1))
        engine.pause()
        started = time.monotonic()
        calls = [state.read([StateKey("user@1", "a")]), state.write([write("a", 2)], at(2)), state.check()]
        answers = await asyncio.gather(*calls, *(state.watermark() for _ in range(60)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert "did not answer within 0.3 s" in str(answers[0])
        # Two calls at most stand behind one another in any of these, and more callers than connections wait at once.
        assert time.monotonic() - started < 10
        engine.resume()
        await patiently(state)
        # What was sent before the timeout may have been done after it; again is harmless.
        await state.write([write("a", 2)], at(2))
        assert await state.read([StateKey("user@1", "a")]) == StateView(at(2), [StateRecord(at(2), b"value")])
        await state.close()


async def test_an_answer_that_came_too_late_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    """A call that was given up leaves no connection behind on which its answer still comes."""
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        await state.write([write(name, 1, name.encode()) for name in "abcd"], at(1))
        for _ in range(20):
            reads = [asyncio.create_task(state.read([StateKey("user@1", name)])) for name in "abcd" * 5]
            await asyncio.sleep(0)
            for read in reads[::2]:
                read.cancel()
            answers = await asyncio.gather(*reads, return_exceptions=True)
            for name, answer in zip("abcd" * 5, answers, strict=True):
                if isinstance(answer, StateView):
                    assert answer.records == [StateRecord(at(1), name.encode())]
        for name in "abcd":
            assert (await state.read([StateKey("user@1", name)])).records == [StateRecord(at(1), name.encode())]
        await state.close()


async def test_two_writers_racing_leave_the_newest(tmp_path: Path) -> None:
    """Whatever the interleaving, each record ends at the greatest position and moved as often as the writers say."""
    with running(RedisServer, tmp_path / "redis") as engine:
        one, two = [await open_state(engine.location, tmp_path) for _ in range(2)]
        seen: list[int] = []

        async def race(state: RedisStateStore, first: int) -> int:
            moved = 0
            for offset in range(first, 200, 2):
                moved += await state.write([write("a", offset, b"%d" % offset)], at(offset))
            return moved

        async def watch() -> None:
            while True:
                view = await one.read([StateKey("user@1", "a")])
                record = view.records[0]
                if record is not None:
                    assert view.watermark <= record.position
                    seen.append(record.position.offset)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        moved = await asyncio.gather(race(one, 0), race(two, 1))
        watching.cancel()
        assert seen == sorted(seen)
        assert sum(moved) <= 200
        assert await two.read([StateKey("user@1", "a")]) == StateView(at(199), [StateRecord(at(199), b"199")])
        assert await one.write([write("a", 198)], at(198)) == 0
        await one.close()
        await two.close()


async def test_positions_are_compared_exactly(tmp_path: Path) -> None:
    """Across bytes, halves and beyond what the server's own numbers hold."""
    places = [(0, 0, -1), (0, 0, 255), (0, 0, 256), (0, 0, 2**32 - 1), (0, 0, 2**32), (0, 0, 2**53), (0, 0, 2**53 + 1)]
    places += [(0, 0, 2**62), (0, 1, 0), (0, 256, 0), (1, 0, 0), (2**32, 0, 0)]
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        key = StateKey("user@1", "a")
        for place in places:
            record = StateRecord(Position(*place), b"value")
            assert await state.write([StateWrite(key, record)], Position(*place)) == 1
            for behind in places[: places.index(place) + 1]:
                older = StateRecord(Position(*behind), b"older")
                assert await state.write([StateWrite(key, older)], Position(*behind)) == 0
            assert (await state.read([key])).records == [record]
        await state.close()


async def test_a_full_server_says_so_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with running(SmallRedis, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        stored = 0

        async def fill() -> None:
            nonlocal stored
            for offset in range(100):
                await state.write([write(f"{offset}", offset, b"x" * 200_000)], at(offset))
                stored = offset

        with pytest.raises(StoreFull, match="maxmemory"):
            await fill()
        assert 3 < stored < 99
        assert await state.watermark() == at(stored)
        engine.ask("CONFIG SET maxmemory 64mb")
        assert await state.write([write("more", 200, b"x" * 200_000)], at(200)) == 1
        await state.close()


async def test_a_server_that_loads_its_data_is_waited_for(tmp_path: Path) -> None:
    with running(RedisServer, tmp_path / "redis") as engine:
        patient = await open_state(f"{engine.location}?timeout=30", tmp_path)
        hasty = await open_state(f"{engine.location}?timeout=0.8", tmp_path)
        await patient.write([write(str(number), 1) for number in range(8_000)], at(1))
        engine.kill()
        conf = engine.folder / "redis.conf"
        # It sleeps that long for each command it loads, in microseconds, and looks at its clients every 1,024 of them.
        conf.write_text(conf.read_text() + "key-load-delay 100\n")
        starting = asyncio.create_task(asyncio.to_thread(engine.start))
        while not engine.ask("PING").startswith("-LOADING"):
            assert not starting.done(), "it was never seen loading"
            await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable, match=r"still loading its data after 0\.8 s"):
            await hasty.watermark()
        assert await patient.watermark() == at(1)
        await starting
        assert await hasty.watermark() == at(1)
        await patient.close()
        await hasty.close()


async def test_servers_that_forget_are_refused_with_what_to_change(tmp_path: Path) -> None:
    with running(UnsafeRedis, tmp_path / "redis") as engine:
        with pytest.raises(ConfigError, match=r"maxmemory-policy noeviction.*appendonly yes.*durable=no"):
            await open_state(engine.location, tmp_path)
        trial = await open_state(f"{engine.location}?durable=no", tmp_path)
        assert not trial.capabilities.durable
        await trial.check()
        await trial.write([write("a", 1)], at(1))
        await trial.close()
        engine.ask("CONFIG SET maxmemory-policy noeviction")
        with pytest.raises(ConfigError) as refusal:
            await open_state(engine.location, tmp_path)
        assert "noeviction" not in str(refusal.value)
        engine.ask("CONFIG SET appendonly yes")
        state = await open_state(engine.location, tmp_path)
        assert state.capabilities.durable
        await state.check()
        await state.close()


async def test_a_server_that_comes_back_as_another_is_not_written_to(tmp_path: Path) -> None:
    """Down at the opening is no error, and neither is a later restart; a start with other settings is."""
    with running(RedisServer, tmp_path / "redis") as engine:
        engine.kill()
        state = await open_state(engine.location, tmp_path)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await state.write([], at(1))
        engine.start()
        await state.write([write("a", 1)], at(1))
        engine.kill()
        with pytest.raises(StoreUnavailable):
            await state.watermark()
        conf = engine.folder / "redis.conf"
        conf.write_text(conf.read_text().replace("noeviction", "allkeys-lru"))
        engine.start()
        with pytest.raises(StoreUnavailable, match="may evict"):
            await state.write([write("a", 2)], at(2))
        assert await state.watermark() == at(1)
        await state.close()


async def test_credentials_are_taken_and_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with running(LockedRedis, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        await state.write([write("a", 1)], at(1))
        told = [repr(state._server.address), str(state._server.address)]
        engine.kill()
        for call in (state.watermark, state.check):
            with pytest.raises(StoreUnavailable) as away:
                await call()
            told.append(str(away.value))
        engine.start()
        await patiently(state)
        await state.close()
        for wrong in (engine.location.replace(":s%2F", ":wrong-s%2F"), f"//127.0.0.1:{engine.port}/0"):
            with pytest.raises(ConfigError, match="refuses the user or password") as refusal:
                await open_state(wrong, tmp_path)
            told.append(str(refusal.value))
    assert not [text for text in [*told, caplog.text] if "ecret" in text or "s%2F" in text]


async def test_a_removed_key_stands_nowhere_on_the_server(tmp_path: Path) -> None:
    """No name and no value has it; the file forgets it when the server next rewrites it."""
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        await state.write([write("someone-to-forget", 1), write("other", 1, b"x")], at(1))
        assert b"someone-to-forget" in await _everything(state)
        await state.write([write("someone-to-forget", 5, b"")], at(5))
        assert b"someone-to-forget" not in await _everything(state)
        assert await state.write([write("someone-to-forget", 4)], at(5)) == 0
        engine.ask("BGREWRITEAOF")
        while "aof_rewrite_in_progress:1" in engine.ask("INFO persistence"):
            await asyncio.sleep(0.02)
        files = [path.read_bytes() for path in engine.folder.rglob("*.*") if path.suffix in (".aof", ".rdb")]
        assert files
        assert not [content for content in files if b"someone-to-forget" in content]
        await state.close()


async def _everything(state: RedisStateStore) -> bytes:
    client = state._server.client
    found = []
    async for name in client.scan_iter():
        found += [name, await (client.zrange(name, 0, -1) if b":i:" in name else client.get(name))]
    return repr(found).encode()


async def test_reads_of_more_than_one_command(tmp_path: Path) -> None:
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(f"{engine.location}?prefix=one", tmp_path)
        other = await open_state(f"{engine.location}?prefix=two", tmp_path)
        names = [str(number) for number in range(2 * READ_KEYS + 7)]
        assert await state.write([write(name, 1, name.encode()) for name in names], at(1)) == len(names)
        view = await state.read([StateKey("user@1", name) for name in names])
        assert [record and record.value for record in view.records] == [name.encode() for name in names]
        assert await other.read([StateKey("user@1", "1")]) == StateView(START, [None])
        await state.close()
        await other.close()


async def test_a_forgotten_script_is_sent_again(tmp_path: Path) -> None:
    with running(RedisServer, tmp_path / "redis") as engine:
        state = await open_state(engine.location, tmp_path)
        assert await state.write([write("a", 1)], at(1)) == 1
        engine.ask("SCRIPT FLUSH")
        assert await state.write([write("a", 2)], at(2)) == 1
        await state.close()

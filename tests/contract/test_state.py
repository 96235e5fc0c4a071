"""The state stores keep their port's contract."""

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from tests.engines.redis import RedisServer
from tests.engines.running import running

from kindred.adapters.local import state as local
from kindred.adapters.memory import state as memory
from kindred.adapters.redis import state as redis
from kindred.core.position import Position
from kindred.ports.state import StateKey, StateRecord, StateStore, StateWrite
from kindred.testing.state_suite import StateSuite


class TestMemoryState(StateSuite):
    async def open_store(self, home: Path) -> StateStore:
        return await memory.open_state("", home)


class TestLocalState(StateSuite):
    async def open_store(self, home: Path) -> StateStore:
        return await local.open_state("state", home)


class TestLocalStateWithASmallMap(StateSuite):
    async def open_store(self, home: Path) -> StateStore:
        return local.LocalStateStore(home / "state", map_size=64 << 10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(RedisServer, tmp_path_factory.mktemp("redis")) as engine:
        yield engine


class TestRedisState(StateSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        self.server = server

    async def open_store(self, home: Path) -> StateStore:
        return await redis.open_state(f"{self.server.location}?prefix={home.name}", home)


async def test_a_removed_key_stands_nowhere_in_the_file(tmp_path: Path) -> None:
    """What is left of a record that was removed names it by a hash alone, and still refuses an older one."""
    key, removed = StateKey("user@1", "someone-to-forget"), StateRecord(Position(0, 0, 5), b"")
    store = await local.open_state("state", tmp_path)
    await store.write([StateWrite(key, StateRecord(Position(0, 0, 1), b"one"))], Position(0, 0, 1))
    await store.write([StateWrite(key, removed)], Position(0, 0, 5))
    assert await store.write([StateWrite(key, StateRecord(Position(0, 0, 4), b"four"))], Position(0, 0, 5)) == 0
    await store.close()
    with lmdb.open(str(tmp_path / "state"), readonly=True) as file, file.begin() as transaction:
        assert not [name for name, _ in transaction.cursor() if key.key.encode() in name]

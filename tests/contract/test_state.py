"""The state stores keep their port's contract."""

from pathlib import Path

import lmdb

from kindred.adapters.local import state as local
from kindred.adapters.memory import state as memory
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

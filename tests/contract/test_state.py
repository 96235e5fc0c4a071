"""The state stores keep their port's contract."""

from pathlib import Path

from kindred.adapters.local import state as local
from kindred.adapters.memory import state as memory
from kindred.ports.state import StateStore
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

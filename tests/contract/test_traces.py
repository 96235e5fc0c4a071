"""The stores of traces keep their port's contract."""

from pathlib import Path

from kindred.adapters.memory import traces as memory
from kindred.adapters.sqlite import traces as sqlite
from kindred.ports.operations import TraceStore
from kindred.testing.traces_suite import TracesSuite


class TestMemoryTraces(TracesSuite):
    async def open_store(self, home: Path) -> TraceStore:
        return await memory.open_traces("", home)


class TestSqliteTraces(TracesSuite):
    async def open_store(self, home: Path) -> TraceStore:
        return await sqlite.open_traces("traces.sqlite", home)

    async def test_it_is_found_again(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.put([("rec_a", 1, b"one")])
        async with self.opened(tmp_path) as store:
            assert await store.get("rec_a") == b"one"

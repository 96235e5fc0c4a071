"""The histories keep their port's contract; SQLite's also on a full disk and beside a bulk insertion."""

import asyncio
from pathlib import Path

import pytest
from tests.engines.postgres import Postgres

from kindred.adapters.memory import interactions as memory
from kindred.adapters.postgres import interactions as postgresql
from kindred.adapters.sqlite import interactions as sqlite
from kindred.core.errors import StoreFull
from kindred.core.position import START
from kindred.ports.interactions import InteractionStore
from kindred.testing.interactions_suite import InteractionsSuite, columns, row


class TestMemoryInteractions(InteractionsSuite):
    async def open_store(self, home: Path) -> InteractionStore:
        return await memory.open_interactions("", home)


class TestSqliteInteractions(InteractionsSuite):
    async def open_store(self, home: Path) -> InteractionStore:
        return await sqlite.open_interactions("history.sqlite", home)

    async def test_a_full_disk_claims_nothing_and_passes(self, tmp_path: Path) -> None:
        rows = [row(f"user {n % 7}", n, "view", n) for n in range(5_000)]
        store = sqlite.SqliteInteractions(tmp_path / "history.sqlite")
        await store.add(rows[:10], START)
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {pages + 5}")
        for adding in (store.add_columns(columns(rows)), store.add(rows, START)):
            with pytest.raises(StoreFull, match=r"history\.sqlite"):
                await adding
            assert await store.counts() == (10, 7, 10)
        store._writer.execute("PRAGMA max_page_count = 1000000")
        assert await store.add_columns(columns(rows)) == 4_990
        assert await store.counts() == (5_000, 7, 5_000)
        await store.close()

    async def test_reads_go_on_beside_a_bulk_insertion(self, tmp_path: Path) -> None:
        rows = [row(f"user {n % 97}", n % 101, "view", n) for n in range(60_000)]
        async with self.opened(tmp_path) as store, self.opened(tmp_path) as other:
            insertion = asyncio.create_task(store.add_columns(columns(rows)))
            beside = 0
            while not insertion.done():
                seen = (await other.counts())[0]
                # Whole transactions only: none, the first 50,000 rows, or all.
                assert seen in {0, 50_000, 60_000}
                beside += 1
                await asyncio.sleep(0.001)
            assert await insertion == 60_000
            assert beside > 1


class TestPostgresInteractions(InteractionsSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> InteractionStore:
        return await postgresql.open_interactions(self.server.schema_url(home).removeprefix("postgresql:"), home)

"""The catalogues keep their port's contract; SQLite's also between processes, and when its file is not its own."""

import asyncio
import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from tests.engines.postgres import Postgres

from kindred.adapters.memory import catalog as memory
from kindred.adapters.postgres import catalog as postgresql
from kindred.adapters.sqlite import catalog as sqlite
from kindred.core.errors import ConfigError, InvalidInput, StoreUnavailable
from kindred.core.item import Item
from kindred.ports.catalog import CatalogStore
from kindred.testing.catalog_suite import CatalogSuite, items


class TestMemoryCatalog(CatalogSuite):
    async def open_store(self, home: Path) -> CatalogStore:
        return await memory.open_catalog("", home)


async def _write_many(home: Path, writer: int) -> None:
    store = await sqlite.open_catalog("catalog.sqlite", home)
    for turn in range(40):
        await store.upsert(items(f"{writer}-{turn}", f"shared-{turn}"), writer)
    await store.close()


def _writer(home: Path, writer: int) -> None:
    asyncio.run(_write_many(home, writer))


class TestSqliteCatalog(CatalogSuite):
    async def open_store(self, home: Path) -> CatalogStore:
        return await sqlite.open_catalog("catalog.sqlite", home)

    async def test_processes_share_ordinals_and_the_feed(self, tmp_path: Path) -> None:
        spawn = multiprocessing.get_context("spawn")
        writers = [spawn.Process(target=_writer, args=(tmp_path, number)) for number in range(3)]
        for each in writers:
            each.start()
        async with self.opened(tmp_path) as store:
            followed: list[int] = []
            seq = 0
            while any(each.is_alive() for each in writers) or await store.changes_since(seq, 1):
                for change in await store.changes_since(seq, 50):
                    followed.append(change.ordinal)
                    seq = change.seq
                await asyncio.sleep(0.001)
            assert [each.exitcode for each in writers] == [0, 0, 0]
            # Every process wrote the shared items alike, so each item changed exactly once.
            assert sorted(followed) == list(range(160))
            assert followed == [each.ordinal for each in await store.changes_since(0, 1_000)]

    async def test_a_closed_catalogue_says_so(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.upsert(items("a"), 1)
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.upsert(items("b"), 1)
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.get(["a"])

    async def test_a_removed_file_fails_the_check(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            (tmp_path / "catalog.sqlite").unlink()
            with pytest.raises(StoreUnavailable, match=r"catalog\.sqlite"):
                await store.check()

    async def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "catalog.sqlite").write_bytes(b"not a database " * 100)
        with pytest.raises(StoreUnavailable, match="not a database"):
            await self.open_store(tmp_path)

    async def test_a_file_of_another_release_is_refused(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path):
            pass
        with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
            connection.execute("PRAGMA user_version = 999")
        connection.close()
        with pytest.raises(ConfigError, match="schema 999"):
            await self.open_store(tmp_path)

    async def test_a_url_without_a_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="file name"):
            await sqlite.open_catalog("", tmp_path)

    async def test_an_item_that_is_not_json_is_refused_whole(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            with pytest.raises(InvalidInput, match="/items/'b'"):
                await store.upsert([*items("a"), Item(item_id="b", attributes={"x": object()})], 1)
            assert await store.changes_since(0, 10) == []

    async def test_ordinals_end_at_the_largest_int32(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.upsert(items("a"), 1)
            with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
                connection.execute("UPDATE items SET ordinal = 2147483646")
            connection.close()
            assert await store.resolve(["b"], 1) == [2**31 - 1]
            with pytest.raises(StoreUnavailable, match="ordinals"):
                await store.upsert(items("c"), 1)
            assert await store.upsert(items("a", "b"), 2) == [2**31 - 2, 2**31 - 1]


class TestPostgresCatalog(CatalogSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> CatalogStore:
        return await postgresql.open_catalog(self.server.schema_url(home).removeprefix("postgresql:"), home)

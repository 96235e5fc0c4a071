"""The stores of traces keep their port's contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.postgres import Postgres
from tests.engines.redis import CacheRedis
from tests.engines.running import running

from kindred.adapters.memory import traces as memory
from kindred.adapters.postgres import traces as postgresql
from kindred.adapters.redis import traces as redis
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheRedis]:
    with running(CacheRedis, tmp_path_factory.mktemp("redis")) as engine:
        yield engine


class TestRedisTraces(TracesSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: CacheRedis) -> None:
        self.server = server

    async def open_store(self, home: Path) -> TraceStore:
        return await redis.open_traces(f"{self.server.location}?prefix={home.name}", home)


class TestPostgresTraces(TracesSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> TraceStore:
        return await postgresql.open_traces(self.server.schema_url(home).removeprefix("postgresql:"), home)

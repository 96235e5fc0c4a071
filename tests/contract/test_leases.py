"""The keepers of leases keep their port's contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.postgres import Postgres
from tests.engines.redis import CacheRedis
from tests.engines.running import running

from kindred.adapters.local import leases as local
from kindred.adapters.memory import leases as memory
from kindred.adapters.postgres import leases as postgresql
from kindred.adapters.redis import leases as redis
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.ports.operations import Leases
from kindred.testing.leases_suite import LeasesSuite


class TestMemoryLeases(LeasesSuite):
    async def open_store(self, home: Path) -> Leases:
        return await memory.open_leases("", home)


class TestLocalLeases(LeasesSuite):
    async def open_store(self, home: Path) -> Leases:
        return await local.open_leases("leases", home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheRedis]:
    with running(CacheRedis, tmp_path_factory.mktemp("redis")) as engine:
        yield engine


class TestRedisLeases(LeasesSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: CacheRedis) -> None:
        self.server = server

    async def open_store(self, home: Path) -> Leases:
        return await redis.open_leases(f"{self.server.location}?prefix={home.name}", home)


async def test_a_lock_file_that_was_taken_away_ends_the_lease(tmp_path: Path) -> None:
    leases = await local.open_leases("", tmp_path)
    fence = await leases.acquire("consumer", "one")
    assert fence == 1
    (tmp_path / "leases" / "consumer.lock").unlink()
    assert not await leases.holds("consumer", fence)
    assert await leases.acquire("consumer", "one") == 2
    await leases.close()


async def test_a_damaged_number_is_not_started_again(tmp_path: Path) -> None:
    leases = await local.open_leases("", tmp_path)
    (tmp_path / "leases" / "consumer.fence").write_text("{")
    with pytest.raises(StoreUnavailable, match=r"consumer\.fence"):
        await leases.acquire("consumer", "one")
    assert await leases.holder("consumer") is None


async def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    leases = await local.open_leases("", tmp_path)
    with pytest.raises(InvalidInput, match="name"):
        await leases.acquire("../consumer", "one")


class TestPostgresLeases(LeasesSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> Leases:
        return await postgresql.open_leases(self.server.schema_url(home).removeprefix("postgresql:"), home)

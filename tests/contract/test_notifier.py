"""The notifiers keep their port's contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.redis import CacheRedis
from tests.engines.running import running

from kindred.adapters.local import notifier as local
from kindred.adapters.memory import notifier as memory
from kindred.adapters.redis import notifier as redis
from kindred.core.errors import ConfigError
from kindred.ports.operations import Notifier
from kindred.testing.notifier_suite import NotifierSuite


class TestMemoryNotifier(NotifierSuite):
    async def open_store(self, home: Path) -> Notifier:
        return await memory.open_notifier("", home)


class TestPollNotifier(NotifierSuite):
    hears = False

    async def open_store(self, home: Path) -> Notifier:
        return await local.open_notifier("", home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheRedis]:
    with running(CacheRedis, tmp_path_factory.mktemp("redis")) as engine:
        yield engine


class TestRedisNotifier(NotifierSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: CacheRedis) -> None:
        self.server = server

    async def open_store(self, home: Path) -> Notifier:
        return await redis.open_notifier(f"{self.server.location}?prefix={home.name}", home)


async def test_what_is_published_between_two_waits_ends_the_second(tmp_path: Path) -> None:
    notifier = await memory.open_notifier("", tmp_path)
    assert await notifier.wait(["a", "b"], 0) is None
    await notifier.publish("b")
    assert await notifier.wait(["a", "b"], 20) == "b"
    assert await notifier.wait(["a", "b"], 0) is None


async def test_polling_takes_no_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing behind the colon"):
        await local.open_notifier("5s", tmp_path)

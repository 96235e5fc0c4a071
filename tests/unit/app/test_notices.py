"""What one process records wakes the consumer of another."""

import asyncio
from collections.abc import Sequence

from kindred.adapters.memory.notifier import MemoryNotifier
from kindred.app import notices
from kindred.app.notices import Notices
from kindred.core.errors import StoreUnavailable


async def test_what_a_server_records_wakes_the_consumer_of_another_process() -> None:
    notifier, woken = MemoryNotifier(), asyncio.Event()
    server, consumer = Notices(notifier, lambda: None), Notices(notifier, woken.set)
    async with asyncio.timeout(10):
        tasks = [asyncio.create_task(each) for each in (consumer.listen(), server.tell())]
        await asyncio.sleep(0)
        for _ in range(2):
            server.recorded()
            await woken.wait()
            woken.clear()
    for task in tasks:
        task.cancel()


async def test_a_process_wakes_its_own_consumer_at_once() -> None:
    woken: list[str] = []
    Notices(MemoryNotifier(), lambda: woken.append("woken")).recorded()
    assert woken == ["woken"]


async def test_many_records_share_a_notice() -> None:
    published: list[str] = []

    class Counted(MemoryNotifier):
        async def publish(self, topic: str) -> None:
            published.append(topic)

    server = Notices(Counted(), lambda: None)
    telling = asyncio.create_task(server.tell())
    for _ in range(100):
        server.recorded()
    async with asyncio.timeout(10):
        while not published:
            await asyncio.sleep(0.001)
    telling.cancel()
    assert published == [notices.RECORDED]


async def test_a_notifier_that_fails_is_listened_to_again(monkeypatch) -> None:
    monkeypatch.setattr(notices, "_AGAIN", 0.0)
    woken = asyncio.Event()

    class Failing(MemoryNotifier):
        failed = False

        async def wait(self, topics: Sequence[str], timeout: float) -> str | None:
            if not self.failed:
                self.failed = True
                raise StoreUnavailable("away")
            return await super().wait(topics, timeout)

    notifier = Failing()
    listening = asyncio.create_task(Notices(notifier, woken.set).listen())
    async with asyncio.timeout(10):
        while not woken.is_set():
            await notifier.publish(notices.RECORDED)
            await asyncio.sleep(0.001)
    listening.cancel()

"""What every notifier must do: subclass `NotifierSuite`, say how yours is opened, and run it by pytest."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.ports.operations import Notifier

# Long enough for a slow machine; a message that comes ends the wait at once.
PATIENCE = 20.0


class NotifierSuite:
    """The suite of the Notifier port; it needs pytest and pytest-asyncio in its automatic mode.

    `hears` is False for a notifier that passes no messages at all.
    """

    hears = True

    async def open_store(self, home: Path) -> Notifier:
        """Open the notifier; each opening of a shared one stands for another process."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its notifier is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[Notifier]:
        """Open the notifier for a block and close it behind it."""
        notifier = await self.open_store(home)
        try:
            yield notifier
        finally:
            await notifier.close()

    async def test_silence_ends_with_the_time_given(self, tmp_path: Path) -> None:
        """Nothing published: None, and not before the time is up."""
        async with self.opened(tmp_path) as notifier:
            started = time.monotonic()
            assert await notifier.wait(["a"], 0.05) is None
            assert time.monotonic() - started >= 0.04
            await notifier.publish("a")
            await notifier.check()

    async def test_other_topics_are_not_heard(self, tmp_path: Path) -> None:
        """Neither one with a longer name nor one with a shorter."""
        async with self.opened(tmp_path) as notifier:
            waiting = asyncio.create_task(notifier.wait(["topic"], 0.3))
            for _ in range(5):
                await asyncio.sleep(0.02)
                for other in ("topi", "topics", "other"):
                    await notifier.publish(other)
            assert await waiting is None

    async def test_who_waits_hears_the_topic(self, tmp_path: Path) -> None:
        """Every waiter is told which of its topics was published, and waits for the next one afterwards."""
        async with self.opened(tmp_path) as notifier:
            if not self.hears:
                return
            for topic in ("b", "a"):
                waits = [asyncio.create_task(notifier.wait(topics, PATIENCE)) for topics in (["a", "b"], [topic])]
                await _publish_until(notifier, topic, waits)
                assert [await wait for wait in waits] == [topic, topic]
                while await notifier.wait(["a", "b"], 0.1) is not None:
                    pass  # It was published several times.

    async def test_waits_that_are_given_up_do_no_harm(self, tmp_path: Path) -> None:
        """A cancelled wait leaves the notifier as it was."""
        async with self.opened(tmp_path) as notifier:
            waiting = asyncio.create_task(notifier.wait(["a"], PATIENCE))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await notifier.wait(["b"], 0.01) is None

    async def test_shared_notifiers_hear_one_another(self, tmp_path: Path) -> None:
        """What one opening publishes, another hears."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not self.hears or not one.capabilities.shared:
                return
            waiting = asyncio.create_task(one.wait(["news"], PATIENCE))
            await _publish_until(two, "news", [waiting])
            assert await waiting == "news"

    async def test_a_closed_notifier_can_be_closed_again(self, tmp_path: Path) -> None:
        """Also when it was never used, and publishing on it raises nothing."""
        notifier = await self.open_store(tmp_path)
        await notifier.close()
        await notifier.close()
        await notifier.publish("a")


async def _publish_until(notifier: Notifier, topic: str, waits: "list[asyncio.Task[str | None]]") -> None:
    """Publish again and again until the waits have ended: a message that comes before a listener is lost."""
    while not all(wait.done() for wait in waits):
        await notifier.publish(topic)
        await asyncio.sleep(0.02)

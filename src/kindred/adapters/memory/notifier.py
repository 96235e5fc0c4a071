"""Notices within one process."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from kindred.ports.resource import Capabilities

# Combinations of topics that are remembered between two waits.
MAX_INBOXES = 1_000


class MemoryNotifier:
    """An event per combination of topics that was waited for; nobody outside of this object hears it.

    What is published between two waits for the same topics ends the second at once.
    """

    def __init__(self) -> None:
        """Start with nobody listening."""
        self._inboxes: OrderedDict[tuple[str, ...], tuple[asyncio.Event, list[str]]] = OrderedDict()

    @property
    def capabilities(self) -> Capabilities:
        """Return that nothing is promised beyond this process."""
        return Capabilities()

    async def publish(self, topic: str) -> None:
        """Tell everyone who listens to `topic`."""
        for topics, (heard, first) in self._inboxes.items():
            if topic in topics and not heard.is_set():
                first[:] = [topic]
                heard.set()

    async def wait(self, topics: Sequence[str], timeout: float) -> str | None:
        """Return the first of `topics` that is published, or None after `timeout` seconds."""
        place = tuple(topics)
        heard, first = self._inboxes.setdefault(place, (asyncio.Event(), []))
        self._inboxes.move_to_end(place)
        if len(self._inboxes) > MAX_INBOXES:
            self._inboxes.popitem(last=False)
        try:
            async with asyncio.timeout(timeout):
                await heard.wait()
        except TimeoutError:
            return None
        heard.clear()
        return first[0]

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Forget who listens."""
        self._inboxes.clear()


async def open_notifier(location: str, home: Path) -> MemoryNotifier:
    """Return a notifier that nobody listens to yet; the place is not used."""
    return MemoryNotifier()

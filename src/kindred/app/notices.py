"""Notices: consumers look at the log as soon as another process has recorded something."""

import asyncio
from collections.abc import Callable

from kindred.core.errors import KindredError
from kindred.ports.operations import Notifier

RECORDED = "recorded"
"""The topic of what was recorded in the log."""

# Groups that are recorded within this many seconds share a notice.
_GAP = 0.005
_HEAR = 60.0
_AGAIN = 1.0


class Notices:
    """Tells other processes what this one recorded, and wakes this one's consumer by what they tell.

    A notice that is lost costs the consumer's own polling interval, never an event.
    """

    def __init__(self, notifier: Notifier, wake: Callable[[], None]) -> None:
        """Pass notices over `notifier`; `wake` makes this process's consumer look."""
        self._notifier, self._wake = notifier, wake
        self._news = asyncio.Event()

    def recorded(self) -> None:
        """Wake the consumer here, and have the others told soon."""
        self._wake()
        self._news.set()

    async def tell(self) -> None:
        """Tell the others whenever something was recorded here, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._notifier.publish(RECORDED)
            await asyncio.sleep(_GAP)

    async def listen(self) -> None:
        """Wake the consumer whenever others recorded something, until cancelled."""
        while True:
            try:
                if await self._notifier.wait([RECORDED], _HEAR) is not None:
                    self._wake()
            except KindredError:
                await asyncio.sleep(_AGAIN)

"""Passes over the whole catalogue that requests wait for: each once, few side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from kindred.core.errors import Overloaded

MOST = 2
"""Passes side by side: the threads that they run in serve the stores too."""
WAIT = 5.0
"""Seconds that a request waits for a pass, its turn included."""


class Passes:
    """Runs passes; who wants one that is running waits for it."""

    def __init__(self) -> None:
        """Start with none."""
        self._running: dict[Hashable, asyncio.Future[None]] = {}

    async def once(self, key: Hashable, run: Callable[[], Awaitable[None]]) -> None:
        """Have the pass under a key run to its end; raise what it raises.

        Raises Overloaded where that takes longer than a request may wait; a pass that began goes on.
        """
        try:
            async with asyncio.timeout(WAIT):
                while key not in self._running and len(self._running) >= MOST:
                    await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
                if key not in self._running:
                    self._running[key] = asyncio.ensure_future(run())
                    self._running[key].add_done_callback(lambda _: self._running.pop(key))
                await asyncio.shield(self._running[key])
        except TimeoutError as error:
            raise Overloaded("an expression is worked out for the first time: ask again", int(WAIT)) from error

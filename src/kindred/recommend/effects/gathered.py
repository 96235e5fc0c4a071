"""One write for what many requests leave behind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Gathered(Generic[T]):
    """Hands over what comes within `wait` seconds as one batch; every caller waits for the batch that it is in.

    A write per request costs a sync, a fold and a commit each, in the time of the requests that follow.
    """

    def __init__(self, handle: Callable[[Sequence[T]], Awaitable[object]], wait: float) -> None:
        """Pass batches to `handle`; what it raises reaches every caller of the batch."""
        self._handle = handle
        self._wait = wait
        self._items: list[T] = []
        self._batch: asyncio.Task[None] | None = None

    async def __call__(self, items: Sequence[T]) -> None:
        """Add items to the open batch and wait until it is handled."""
        self._items.extend(items)
        if self._batch is None:
            self._batch = asyncio.create_task(self._hand_over())
            # Where all callers have given up, nobody is left to hear of a failure.
            self._batch.add_done_callback(lambda done: done.cancelled() or done.exception())
        # A caller that is cancelled must not take the others' batch with it.
        await asyncio.shield(self._batch)

    async def _hand_over(self) -> None:
        await asyncio.sleep(self._wait)
        items, self._items, self._batch = self._items, [], None
        await self._handle(items)

"""What follows many answers, a little at a time: the next requests do not wait for all of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 16


async def in_slices(what: Sequence[T]) -> AsyncIterator[T]:
    """Go through `what`, and let others work now and then."""
    for place, each in enumerate(what, 1):
        yield each
        if place % _AT_ONCE == 0:
            await asyncio.sleep(0)

"""From accepted changes to the log, and the short wait until answers see them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from kindred.api.bodies import Batch, Element
from kindred.api.platform import Platform
from kindred.api.schemas.outcomes import BatchOutcome, ElementOutcome
from kindred.core.errors import InvalidInput
from kindred.core.event import Event
from kindred.core.position import Position

WAIT = 2.0
"""Seconds that a call waits for its change to be folded before it answers `queued`."""

# Elements that are read in about a millisecond.
_SLICE = 100

T = TypeVar("T")
E = TypeVar("E")

Read = Callable[[T, str], E]


async def settle(platform: Platform, events: Sequence[Event]) -> tuple[list[Position], bool]:
    """Record events durably and wait a little; return each one's position and whether all are folded."""
    positions = await platform.journal.record(events)
    last = {position.partition: position for position in sorted(positions)}
    return positions, await stored(platform, last.values())


async def stored(platform: Platform, last: Iterable[Position]) -> bool:
    """Wait a little until the last position of each partition is folded; return whether all are."""
    return all(await asyncio.gather(*(platform.serving.wait_for(position, WAIT) for position in last)))


def sift(batch: Batch[T], read: Read[T, E]) -> tuple[list[E | InvalidInput], list[E]]:
    """Read each element; return what became of each in order, and the good ones alone."""
    return _parted([_read(element, read) for element in batch.elements])


async def sift_long(batch: Batch[T], read: Read[T, E]) -> tuple[list[E | InvalidInput], list[E]]:
    """Do what `sift` does, some elements at a time, so that a long batch keeps nobody waiting."""
    found: list[E | InvalidInput] = []
    for place, element in enumerate(batch.elements):
        if place % _SLICE == 0:
            await asyncio.sleep(0)
        found.append(_read(element, read))
    return _parted(found)


def _read(element: Element[T], read: Read[T, E]) -> E | InvalidInput:
    if element.error is not None:
        return element.error
    try:
        return read(element.value, element.pointer)  # type: ignore[arg-type]
    except InvalidInput as error:
        return error


def _parted(found: list[E | InvalidInput]) -> tuple[list[E | InvalidInput], list[E]]:
    return found, [each for each in found if not isinstance(each, InvalidInput)]


def outcome(
    found: Sequence[E | InvalidInput], positions: Sequence[Position], told: Callable[[E, str], ElementOutcome]
) -> BatchOutcome:
    """Tell what became of each element: `told(event, position)` for the good ones, the faults for the others."""
    left = iter(positions)
    results = [
        ElementOutcome(status="rejected", errors=each.faults)
        if isinstance(each, InvalidInput)
        else told(each, str(next(left)))
        for each in found
    ]
    return BatchOutcome(accepted=len(positions), rejected=len(found) - len(positions), results=results)

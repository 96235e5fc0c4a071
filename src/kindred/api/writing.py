"""From accepted changes to the log, and the short wait until answers see them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from kindred.api.bodies import Batch
from kindred.api.platform import Platform
from kindred.api.schemas.outcomes import BatchOutcome, ElementOutcome
from kindred.core.errors import InvalidInput
from kindred.core.event import Event
from kindred.core.position import Position

WAIT = 2.0
"""Seconds that a call waits for its change to be folded before it answers `queued`."""

T = TypeVar("T")
E = TypeVar("E")

Read = Callable[[T, str], E]


async def settle(platform: Platform, events: Sequence[Event]) -> tuple[list[Position], bool]:
    """Record events durably and wait a little; return each one's position and whether all are folded."""
    positions = await platform.journal.record(events)
    last = {position.partition: position for position in sorted(positions)}
    stored = [await platform.serving.wait_for(position, WAIT) for position in last.values()]
    return positions, all(stored)


def sift(batch: Batch[T], read: Read[T, E]) -> tuple[list[E | InvalidInput], list[E]]:
    """Read each element; return what became of each in order, and the good ones alone."""
    found: list[E | InvalidInput] = []
    for element in batch.elements:
        if element.error is not None:
            found.append(element.error)
            continue
        try:
            found.append(read(element.value, element.pointer))  # type: ignore[arg-type]
        except InvalidInput as error:
            found.append(error)
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

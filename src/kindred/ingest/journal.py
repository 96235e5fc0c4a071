"""The way into the log: events are durable before anyone is told that they were accepted."""

import asyncio
from collections.abc import Callable, Sequence

from kindred.core.event import Event, encode_event, partition_key
from kindred.core.position import Position
from kindred.ports.log import EventLog
from kindred.ports.state import StateStore
from kindred.ports.telemetry import Meter, NoMeter

_LOOK_AGAIN = 0.005


def _nobody() -> None:
    """Wake nobody."""


class Journal:
    """Encodes events and appends them to the log."""

    def __init__(self, log: EventLog, wake: Callable[[], None] = _nobody, meter: Meter | None = None) -> None:
        """Append to `log`, then call `wake`, which tells a consumer of this process to look at once."""
        self._log = log
        self._wake = wake
        self._meter = meter or NoMeter()

    async def record(self, events: Sequence[Event]) -> list[Position]:
        """Append events durably, all or none, and return each one's position.

        Raises Overloaded, StoreFull or StoreUnavailable; nothing was claimed then.
        """
        if not events:
            return []
        records = [(partition_key(event), encode_event(event)) for event in events]
        positions = await self._log.append(records)
        self._meter.count("events_recorded", len(events))
        self._wake()
        return positions


async def folded(state: StateStore, position: Position, timeout: float) -> bool:
    """Wait up to `timeout` seconds until the state has folded `position`; return whether it has."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while await state.watermark(position.partition) < position:
        if loop.time() >= end:
            return False
        await asyncio.sleep(_LOOK_AGAIN)
    return True

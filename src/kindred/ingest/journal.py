"""The way into the log: events are durable before anyone is told that they were accepted."""

import asyncio
from collections.abc import Callable, Sequence

from kindred.core.errors import Overloaded
from kindred.core.event import Event, encode_event, partition_key
from kindred.core.position import Position
from kindred.ingest.lane import Lane, Part
from kindred.ports.log import EventLog
from kindred.ports.state import StateStore
from kindred.ports.telemetry import Meter, NoMeter

_LOOK_AGAIN = 0.005
_WAITING_RECORDS, _WAITING_BYTES = 50_000, 64 << 20


def _nobody() -> None:
    """Wake nobody."""


class Journal:
    """Encodes events and appends them to the log; calls that come together share an append.

    Each partition of the log has a lane of its own, so that one without a leader keeps nobody waiting but those who
    write to it. At most 50,000 records or 64 MiB wait; beyond that a lane that holds its share of them takes no more.
    """

    def __init__(self, log: EventLog, wake: Callable[[], None] = _nobody, meter: Meter | None = None) -> None:
        """Append to `log`, then call `wake`, which tells a consumer of this process to look at once."""
        self._log = log
        self._wake = wake
        self._meter = meter or NoMeter()
        self._lanes: dict[int, Lane] = {}

    async def record(self, events: Sequence[Event]) -> list[Position]:
        """Append events durably, all or none in each partition of the log, and return each one's position.

        Raises Overloaded, StoreFull or StoreUnavailable; where all events are of one partition nothing was claimed
        then. The events of a call that was given up may be written nevertheless.
        """
        records = [(partition_key(event), encode_event(event)) for event in events]
        if len(records) == 1:
            lane, part = self._lane(self._log.partition_of(records[0][0])), Part(records)
            self._admit(lane, part)
            lane.add(part)
            return await part.positions
        places: dict[int, list[int]] = {}
        for place, (key, _) in enumerate(records):
            places.setdefault(self._log.partition_of(key), []).append(place)
        parts = [
            (self._lane(partition), Part([records[place] for place in inside])) for partition, inside in places.items()
        ]
        for lane, part in parts:
            self._admit(lane, part)
        for lane, part in parts:
            lane.add(part)
        answers = await asyncio.gather(*(part.positions for _, part in parts), return_exceptions=True)
        found: dict[int, Position] = {}
        for inside, answer in zip(places.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            found.update(zip(inside, answer, strict=True))
        return [found[place] for place in range(len(records))]

    def _lane(self, partition: int) -> Lane:
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(self._log, self._stored)
        return lane

    def _admit(self, lane: Lane, part: Part) -> None:
        """Raise Overloaded where too much waits, unless the lane has less than its share of that."""
        if not lane.waiting or not _full(lane.records, lane.size, part, len(self._lanes)):
            return
        waiting = sum(each.records for each in self._lanes.values())
        if _full(waiting, sum(each.size for each in self._lanes.values()), part, 1):
            raise Overloaded(f"{waiting} events wait to be written; try again in a second", retry_after=1)

    def _stored(self, records: int) -> None:
        self._meter.count("events_recorded", records)
        self._wake()


def _full(records: int, size: int, part: Part, shares: int) -> bool:
    """Say whether a part is too much beside records of that size, for one of so many shares of the room."""
    return (records + len(part.records)) * shares > _WAITING_RECORDS or (size + part.size) * shares > _WAITING_BYTES


async def folded(state: StateStore, position: Position, timeout: float) -> bool:
    """Wait up to `timeout` seconds until the state has folded `position`; return whether it has."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while await state.watermark(position.partition) < position:
        if loop.time() >= end:
            return False
        await asyncio.sleep(_LOOK_AGAIN)
    return True

"""The way into the log: events are durable before anyone is told that they were accepted."""

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Sequence

from kindred.core.errors import KindredError, Overloaded, StoreUnavailable
from kindred.core.event import Event, encode_event, partition_key
from kindred.core.position import Position
from kindred.ports.log import EventLog
from kindred.ports.state import StateStore
from kindred.ports.telemetry import Meter, NoMeter

_LOOK_AGAIN = 0.005
# Callers who were just answered come back within this many seconds, if they do: one sync for all of them is cheaper,
# for each of them too, than two syncs for half of them each.
_GATHER = 0.001
_GROUP_RECORDS, _GROUP_BYTES = 2_000, 4 << 20
_WAITING_RECORDS, _WAITING_BYTES = 50_000, 64 << 20

Record = tuple[str, bytes]


def _nobody() -> None:
    """Wake nobody."""


class _Call:
    """The records of one call, and where their positions are awaited."""

    __slots__ = ("positions", "records", "size")

    def __init__(self, records: list[Record], positions: asyncio.Future[list[Position]]) -> None:
        self.records = records
        self.size = sum(len(data) for _, data in records)
        self.positions = positions


class Journal:
    """Encodes events and appends them to the log; calls that come together share an append.

    While an append syncs, the next group gathers; after it, for up to a millisecond, until as many calls wait as there
    were before. A call that comes alone is appended at once. A group holds up to 2,000 records or 4 MiB, and a call is
    never split. At most 50,000 records or 64 MiB wait.
    """

    def __init__(self, log: EventLog, wake: Callable[[], None] = _nobody, meter: Meter | None = None) -> None:
        """Append to `log`, then call `wake`, which tells a consumer of this process to look at once."""
        self._log = log
        self._wake = wake
        self._meter = meter or NoMeter()
        self._waiting: deque[_Call] = deque()
        self._records = self._bytes = 0
        self._flight: asyncio.Task[None] | None = None
        self._awaited = 0
        self._gathered: asyncio.Future[None] | None = None

    async def record(self, events: Sequence[Event]) -> list[Position]:
        """Append events durably, all or none, and return each one's position.

        Raises Overloaded, StoreFull or StoreUnavailable; nothing was claimed then. The events of a call that was given
        up may be written nevertheless.
        """
        if not events:
            return []
        loop = asyncio.get_running_loop()
        call = _Call([(partition_key(event), encode_event(event)) for event in events], loop.create_future())
        self._queue(call)
        if self._flight is None or self._flight.done():
            # It begins when the loop comes round: what arrived in the same round is in its first group.
            self._flight = loop.create_task(self._fly())
        return await call.positions

    def _queue(self, call: _Call) -> None:
        full = self._records + len(call.records) > _WAITING_RECORDS or self._bytes + call.size > _WAITING_BYTES
        if full and self._waiting:
            raise Overloaded(f"{self._records} events wait to be written; try again in a second", retry_after=1)
        self._waiting.append(call)
        self._records += len(call.records)
        self._bytes += call.size
        if self._gathered is not None and len(self._waiting) >= self._awaited:
            self._end_gathering()

    async def _fly(self) -> None:
        """Append groups until nothing waits."""
        while group := self._next_group():
            records = [record for call in group for record in call.records]
            try:
                positions = await self._log.append(records)
            except KindredError as error:
                _fail(group, error)
                continue
            except Exception as error:
                _fail(group, StoreUnavailable(f"the event log could not be written: {error!r}"))
                continue
            except asyncio.CancelledError:
                _fail(group, StoreUnavailable("the server is stopping"))
                raise
            self._meter.count("events_recorded", len(records))
            first = 0
            for call in group:
                end = first + len(call.records)
                if not call.positions.done():
                    call.positions.set_result(positions[first:end])
                first = end
            self._wake()
            await self._gather(len(group) + len(self._waiting))

    async def _gather(self, calls: int) -> None:
        """Wait a little until as many calls wait as there were a moment ago."""
        if calls < 2 or len(self._waiting) >= calls:
            return
        loop = asyncio.get_running_loop()
        self._awaited, self._gathered = calls, loop.create_future()
        timer = loop.call_later(_GATHER, self._end_gathering)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._gathered = None

    def _end_gathering(self) -> None:
        if self._gathered is not None and not self._gathered.done():
            self._gathered.set_result(None)

    def _next_group(self) -> list[_Call]:
        group: list[_Call] = []
        count = size = 0
        while self._waiting:
            call = self._waiting[0]
            count += len(call.records)
            size += call.size
            if group and (count > _GROUP_RECORDS or size > _GROUP_BYTES):
                break
            self._waiting.popleft()
            self._records -= len(call.records)
            self._bytes -= call.size
            # Nothing is written for a caller who gave up before this moment.
            if not call.positions.done():
                group.append(call)
        return group


def _fail(group: Sequence[_Call], error: KindredError) -> None:
    for call in group:
        if not call.positions.done():
            # An exception object belongs to one caller: its traceback grows where it is raised.
            call.positions.set_exception(copy.copy(error))


async def folded(state: StateStore, position: Position, timeout: float) -> bool:
    """Wait up to `timeout` seconds until the state has folded `position`; return whether it has."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while await state.watermark(position.partition) < position:
        if loop.time() >= end:
            return False
        await asyncio.sleep(_LOOK_AGAIN)
    return True

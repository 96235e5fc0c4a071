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
# While one append syncs, the next is prepared and may already wait at the log; more would only make groups smaller.
_FLIGHTS = 2
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

    A group holds up to 2,000 records or 4 MiB, and a call is never split. At most 50,000 records or 64 MiB wait.
    """

    def __init__(self, log: EventLog, wake: Callable[[], None] = _nobody, meter: Meter | None = None) -> None:
        """Append to `log`, then call `wake`, which tells a consumer of this process to look at once."""
        self._log = log
        self._wake = wake
        self._meter = meter or NoMeter()
        self._waiting: deque[_Call] = deque()
        self._records = self._bytes = 0
        self._flights: set[asyncio.Task[None]] = set()

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
        if len(self._flights) < _FLIGHTS:
            # It begins when the loop comes round: what arrived in the same round is in its first group.
            flight = loop.create_task(self._fly())
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)
        return await call.positions

    def _queue(self, call: _Call) -> None:
        full = self._records + len(call.records) > _WAITING_RECORDS or self._bytes + call.size > _WAITING_BYTES
        if full and self._waiting:
            raise Overloaded(f"{self._records} events wait to be written; try again in a second", retry_after=1)
        self._waiting.append(call)
        self._records += len(call.records)
        self._bytes += call.size

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

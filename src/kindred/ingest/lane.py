"""One partition's way into the log: calls that come together share an append, and one append is out at a time."""

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Sequence

from kindred.core.errors import KindredError, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import EventLog, Outcome, PartlyAppended

# Callers who were just answered come back within this many seconds, if they do: one sync for all of them is cheaper,
# for each of them too, than two syncs for half of them each.
_GATHER = 0.001
_GROUP_RECORDS, _GROUP_BYTES = 2_000, 4 << 20

Record = tuple[str, bytes]


class Part:
    """The records of one call that go to one partition, and where their positions are awaited."""

    __slots__ = ("positions", "records", "size")

    def __init__(self, records: list[Record]) -> None:
        """Hold records that are to be queued, in the running loop."""
        self.records = records
        self.size = sum(len(data) for _, data in records)
        self.positions: asyncio.Future[list[Position]] = asyncio.get_running_loop().create_future()


class Lane:
    """The queue of one partition: what is `waiting` in it, how many `records` and of what `size`, bytes.

    While an append is out, the next group gathers; after it, for up to a millisecond, until as many calls wait as there
    were before. A call that comes alone is appended at once. A group holds up to 2,000 records or 4 MiB, and a part is
    never split. Where a log says that it stored some records of a group alone, only the calls of the others fail.
    """

    def __init__(self, log: EventLog, stored: Callable[[int], None]) -> None:
        """Append to `log`, and call `stored` with how many records each append stored."""
        self.waiting: deque[Part] = deque()
        self.records = self.size = 0
        self._log, self._stored = log, stored
        self._flight: asyncio.Task[None] | None = None
        self._awaited = 0
        self._gathered: asyncio.Future[None] | None = None

    def add(self, part: Part) -> None:
        """Queue a part and see that it is appended."""
        self.waiting.append(part)
        self.records += len(part.records)
        self.size += part.size
        if self._gathered is not None and len(self.waiting) >= self._awaited:
            self._end_gathering()
        if self._flight is None or self._flight.done():
            # It begins when the loop comes round: what arrived in the same round is in its first group.
            self._flight = asyncio.get_running_loop().create_task(self._fly())

    async def _fly(self) -> None:
        """Append groups until nothing waits."""
        while group := self._next_group():
            records = [record for part in group for record in part.records]
            try:
                positions = await self._log.append(records)
            except PartlyAppended as error:
                self._stored(_tell_apart(group, error.outcomes))
                continue
            except KindredError as error:
                _fail(group, error)
                continue
            except Exception as error:
                _fail(group, StoreUnavailable(f"the event log could not be written: {error!r}"))
                continue
            except asyncio.CancelledError:
                _fail(group, StoreUnavailable("the server is stopping"))
                raise
            _tell(group, positions)
            self._stored(len(records))
            await self._gather(len(group) + len(self.waiting))

    async def _gather(self, calls: int) -> None:
        """Wait a little until as many calls wait as there were a moment ago."""
        if calls < 2 or len(self.waiting) >= calls:
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

    def _next_group(self) -> list[Part]:
        group: list[Part] = []
        count = size = 0
        while self.waiting:
            part = self.waiting[0]
            count += len(part.records)
            size += part.size
            if group and (count > _GROUP_RECORDS or size > _GROUP_BYTES):
                break
            self.waiting.popleft()
            self.records -= len(part.records)
            self.size -= part.size
            # Nothing is written for a caller who gave up before this moment.
            if not part.positions.done():
                group.append(part)
        return group


def _tell(group: Sequence[Part], positions: list[Position]) -> None:
    first = 0
    for part in group:
        end = first + len(part.records)
        if not part.positions.done():
            part.positions.set_result(positions[first:end])
        first = end


def _tell_apart(group: Sequence[Part], outcomes: Sequence[Outcome]) -> int:
    """Tell each call what became of its own records; return how many of all were stored."""
    first = 0
    for part in group:
        own = outcomes[first : first + len(part.records)]
        stored = [each for each in own if not isinstance(each, KindredError)]
        if len(stored) == len(own):
            _tell([part], stored)
        else:
            _fail([part], next(each for each in own if isinstance(each, KindredError)))
        first += len(own)
    return sum(not isinstance(each, KindredError) for each in outcomes)


def _fail(group: Sequence[Part], error: KindredError) -> None:
    for part in group:
        if not part.positions.done():
            # An exception object belongs to one caller: its traceback grows where it is raised.
            part.positions.set_exception(copy.copy(error))

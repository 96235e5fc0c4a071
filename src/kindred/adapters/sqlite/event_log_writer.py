"""Group commit: the concurrent appends of one process share a transaction and its sync."""

import asyncio
import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue

from kindred.core.errors import KindredError, Overloaded, StoreUnavailable, TooLarge

Place = tuple[int, int]
"""The epoch and the offset of a record."""

WriteGroup = Callable[[list[bytes]], Place]


class _Waiting:
    """Records of one append, and the future that its caller awaits."""

    __slots__ = ("future", "records", "size")

    def __init__(self, records: Sequence[bytes], future: asyncio.Future[Place]) -> None:
        self.records = records
        self.size = sum(map(len, records))
        self.future = future


class GroupWriter:
    """A thread that writes what is waiting as one group, while the next group gathers behind it.

    `write(records)` makes a group durable and returns the epoch and offset of its first record; `after()` runs once the
    group's callers were told. A group has at most `group_records` records and `group_bytes` bytes, but one append is
    never split; at most `waiting_records` records and `waiting_bytes` bytes wait.
    """

    def __init__(
        self,
        write: WriteGroup,
        after: Callable[[], None],
        *,
        group_records: int = 2_000,
        group_bytes: int = 4 << 20,
        waiting_records: int = 50_000,
        waiting_bytes: int = 64 << 20,
    ) -> None:
        """Start the thread."""
        self._write = write
        self._after = after
        self._group = (group_records, group_bytes)
        self._limit = (waiting_records, waiting_bytes)
        # None, behind everything else, wakes the thread at the end.
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._left: _Waiting | None = None
        self._count = self._size = 0
        self._open = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="event-log-writer", daemon=True)
        self._thread.start()

    async def append(self, records: Sequence[bytes]) -> Place:
        """Queue records and return the first one's epoch and offset once they are durable.

        Raises Overloaded when too much waits, TooLarge for what can never fit, and whatever the write raised; then
        nothing was written. An append whose caller gave up may still be written.
        """
        entry = _Waiting(records, asyncio.get_running_loop().create_future())
        if entry.size > self._limit[1] or len(records) > self._limit[0]:
            raise TooLarge(f"an append has at most {self._limit[0]} records and {self._limit[1]} bytes; send fewer")
        with self._lock:
            if not self._open:
                raise StoreUnavailable("the event log is closed")
            if self._count + len(records) > self._limit[0] or self._size + entry.size > self._limit[1]:
                raise Overloaded(f"{self._count} events wait to be written; try again in a second", retry_after=1)
            self._count += len(records)
            self._size += entry.size
            self._queue.put(entry)
        return await entry.future

    def close(self) -> None:
        """Write what waits, then end the thread; a second call does nothing."""
        with self._lock:
            if self._open:
                self._open = False
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._open or self._left or not self._queue.empty():
            self._write_group(self._next_group())

    def _next_group(self) -> list[_Waiting]:
        """Wait for work, or the end, and take as much of it as fits in one group."""
        group: list[_Waiting] = []
        count = size = 0
        entry = self._left or self._queue.get()
        self._left = None
        while entry is not None:
            count += len(entry.records)
            size += entry.size
            if group and (count > self._group[0] or size > self._group[1]):
                self._left = entry
                break
            group.append(entry)
            entry = None if self._queue.empty() else self._queue.get()
        return group

    def _write_group(self, group: list[_Waiting]) -> None:
        with self._lock:
            self._count -= sum(len(entry.records) for entry in group)
            self._size -= sum(entry.size for entry in group)
        # A caller who gave up before this moment gets nothing written; from here on it is too late to give up.
        group = [entry for entry in group if not entry.future.done()]
        if not group:
            return
        outcome: Place | KindredError
        try:
            outcome = self._write([record for entry in group for record in entry.records])
        except KindredError as error:
            outcome = error
        except Exception as error:
            outcome = StoreUnavailable(f"the event log could not be written: {error!r}")
        for loop in {entry.future.get_loop() for entry in group}:
            # A loop that has ended has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, loop, group, outcome)
        self._after()


def _tell(loop: asyncio.AbstractEventLoop, group: Sequence[_Waiting], outcome: Place | KindredError) -> None:
    """Tell those callers of a group who wait in this loop what became of their records."""
    records = 0
    for entry in group:
        if entry.future.get_loop() is loop and not entry.future.done():
            if isinstance(outcome, KindredError):
                # An exception object belongs to one caller: its traceback grows where it is raised.
                entry.future.set_exception(_copy(outcome))
            else:
                epoch, first = outcome
                entry.future.set_result((epoch, first + records))
        records += len(entry.records)


def _copy(error: KindredError) -> KindredError:
    again = copy.copy(error)
    again.__cause__ = error.__cause__
    return again

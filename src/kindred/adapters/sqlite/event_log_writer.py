"""Group commit: the concurrent appends of one process share a transaction and its sync."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from kindred.core.errors import KindredError, Overloaded, StoreUnavailable, TooLarge

WriteGroup = Callable[[list[bytes]], tuple[int, int]]


class _Waiting:
    """Records of one append, and the future that its caller awaits."""

    __slots__ = ("future", "records", "size")

    def __init__(self, records: Sequence[bytes]) -> None:
        self.records = records
        self.size = sum(map(len, records))
        self.future: Future[tuple[int, int]] = Future()


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
        self._waiting: deque[_Waiting] = deque()
        self._count = self._size = 0
        self._open = True
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="event-log-writer", daemon=True)
        self._thread.start()

    async def append(self, records: Sequence[bytes]) -> tuple[int, int]:
        """Queue records and return the first one's epoch and offset once they are durable.

        Raises Overloaded when too much waits, TooLarge for what can never fit, and whatever the write raised; then
        nothing was written. An append whose caller gave up may still be written.
        """
        entry = _Waiting(records)
        if entry.size > self._limit[1] or len(records) > self._limit[0]:
            raise TooLarge(f"an append has at most {self._limit[0]} records and {self._limit[1]} bytes; send fewer")
        with self._wake:
            if not self._open:
                raise StoreUnavailable("the event log is closed")
            if self._count + len(records) > self._limit[0] or self._size + entry.size > self._limit[1]:
                raise Overloaded(f"{self._count} events wait to be written; try again in a second", retry_after=1)
            self._waiting.append(entry)
            self._count += len(records)
            self._size += entry.size
            self._wake.notify()
        return await asyncio.wrap_future(entry.future)

    def close(self) -> None:
        """Write what waits, then end the thread; a second call does nothing."""
        with self._wake:
            self._open = False
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._write_group(group)

    def _next_group(self) -> list[_Waiting]:
        """Wait for work and take as much of it as fits in one group; nothing means the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or not self._open)
            group: list[_Waiting] = []
            count = size = 0
            while self._waiting:
                entry = self._waiting[0]
                count += len(entry.records)
                size += entry.size
                if group and (count > self._group[0] or size > self._group[1]):
                    break
                group.append(self._waiting.popleft())
                self._count -= len(entry.records)
                self._size -= entry.size
            return group

    def _write_group(self, group: list[_Waiting]) -> None:
        # A caller who gave up before this moment gets nothing written; from here on it is too late to give up.
        group = [entry for entry in group if entry.future.set_running_or_notify_cancel()]
        if not group:
            return
        try:
            epoch, first = self._write([record for entry in group for record in entry.records])
        except KindredError as error:
            # An exception object belongs to one caller: its traceback grows where it is raised.
            for entry in group:
                entry.future.set_exception(_copy(error))
            return
        except Exception as error:
            for entry in group:
                entry.future.set_exception(StoreUnavailable(f"the event log could not be written: {error!r}"))
            return
        for entry in group:
            entry.future.set_result((epoch, first))
            first += len(entry.records)
        self._after()


def _copy(error: KindredError) -> KindredError:
    copy = type(error)(error.detail)
    copy.__cause__ = error.__cause__
    return copy

"""The durable, ordered log of events."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kindred.core.position import Position
from kindred.ports.resource import Resource


class LogRecord(NamedTuple):
    """One record as it stands in the log."""

    position: Position
    data: bytes


class DeadLetter(NamedTuple):
    """A record that could not be folded: its place, a typed reason, and its bytes unchanged."""

    position: Position
    reason: str
    data: bytes


class EventLog(Resource, Protocol):
    """An append-only log, partitioned by key; several processes append, readers see durable records in order."""

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append (key, data) records durably, all or none, and return a position each.

        Returning means that the covering fdatasync (or its like) has returned. Raises StoreFull when there is no room,
        Overloaded with `retry_after` when the queue is full; in both cases nothing was claimed.
        """
        ...

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` durable records of `after.partition` that stand behind `after`, in order."""
        ...

    async def ends(self) -> list[Position]:
        """Return the position of each partition's last durable record (offset -1 where it is empty)."""
        ...

    async def commit(self, group: str, position: Position) -> None:
        """Remember that `group` has folded everything up to `position`; it never moves backwards."""
        ...

    async def committed(self, group: str) -> list[Position]:
        """Return what each partition was committed to by `group` (offset -1 where nothing was)."""
        ...

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records that cannot be folded; burying the same position twice keeps one."""
        ...

    async def dead_letters(self, after: Position, limit: int) -> list[DeadLetter]:
        """Return up to `limit` dead letters behind `after`, in order."""
        ...

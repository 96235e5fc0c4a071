"""The durable, ordered log of events, its dead letters, and who folds which of its partitions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from kindred.core.errors import KindredError, StoreUnavailable
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


Outcome: TypeAlias = Position | KindredError
"""What became of one record of an append: where it stands, or why it does not."""


class PartlyAppended(StoreUnavailable):
    """Some records of an append stand in the log and others do not; `outcomes` says it of each, in their order."""

    def __init__(self, detail: str = "", retry_after: int = 1, outcomes: Sequence[Outcome] = ()) -> None:
        """Keep what became of each record."""
        super().__init__(detail, retry_after)
        self.outcomes = outcomes


def positions_of(outcomes: Sequence[Outcome]) -> list[Position]:
    """Return the positions of an append's records; raise PartlyAppended, or why where none of them stands."""
    positions = [each for each in outcomes if not isinstance(each, KindredError)]
    errors = [each for each in outcomes if isinstance(each, KindredError)]
    if errors and not positions:
        raise errors[0]
    if errors:
        detail = f"{len(errors)} of {len(outcomes)} records were not appended: {errors[0].detail}"
        raise PartlyAppended(detail, getattr(errors[0], "retry_after", 1), outcomes)
    return positions


class LogLayout(Protocol):
    """The epochs of a log, their partitions and where each of these ends."""

    async def ends(self, epoch: int | None = None) -> list[Position]:
        """Return the position of the last durable record of each partition of an epoch (-1: none), else the present.

        Raises StoreUnavailable for an epoch that the log does not know.
        """
        ...

    async def partitions(self) -> Mapping[int, int]:
        """Return how many partitions each epoch has, oldest first, as far as the log knows them; the last is present.

        As seen last: a newer epoch may have begun a moment ago, which the positions of an append tell.
        """
        ...

    def partition_of(self, key: str, epoch: int | None = None) -> int:
        """Return the partition that records of `key` go to in the present epoch, or went to in another.

        Raises StoreUnavailable for an epoch that the log does not know.
        """
        ...


class EventLog(Resource, LogLayout, Protocol):
    """An append-only log, partitioned by key; several processes append, readers see durable records in order.

    A log starts a new epoch when its partitions change in number or it was restored; positions of an older epoch are
    lower. One with the capability `groups` is a `GroupedLog`.
    """

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append (key, data) records durably, all or none in each partition, and return a position each.

        Returning means that the covering fdatasync (or its like) has returned. Raises StoreFull when there is no room,
        Overloaded with `retry_after` when the queue is full; in both cases nothing was claimed. Raises PartlyAppended
        where some partitions took their records and others did not.
        """
        ...

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` durable records of `after.partition` that stand behind `after`, in order.

        Where `after` is of an older epoch, what follows it there comes first, then the newer epochs.
        """
        ...

    async def commit(self, group: str, position: Position) -> None:
        """Remember that `group` has folded everything up to `position`; it never moves backwards."""
        ...

    async def committed(self, group: str) -> list[Position]:
        """Return what each partition was committed to by `group` (offset -1 where nothing was)."""
        ...

    async def trim(self, before: Position) -> int:
        """Delete records of `before.partition` that stand before `before`; return how many went, where it is known.

        Whole segments may be kept until all of their records are older. Offsets never change.
        """
        ...


class DeadLetters(Resource, Protocol):
    """Records that could not be folded, until someone replays or discards them."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records durably; burying the same position twice keeps the first."""
        ...

    async def letters(self, after: Position | None, limit: int) -> list[DeadLetter]:
        """Return up to `limit` letters behind `after` (None: from the first), in order of position."""
        ...

    async def discard(self, positions: Sequence[Position]) -> int:
        """Delete letters; return how many there were."""
        ...


class Membership(Protocol):
    """One consumer's part in a group that shares the partitions of a log: each has one owner at a time."""

    async def claims(self) -> Mapping[int, int]:
        """Return the partitions owned now, each with its fencing number, renewing them where they would expire.

        A number is higher with each change of owner. A partition that left the answer is another's from now on.
        """
        ...

    async def holds(self, partition: int, fence: int) -> bool:
        """Say whether a partition is still owned under `fence`."""
        ...

    async def leave(self) -> None:
        """Give all partitions back; a second call does nothing."""
        ...


class GroupedLog(EventLog, Protocol):
    """A log that shares its partitions among the consumers of a group by itself."""

    async def join(self, group: str) -> Membership:
        """Become a member of `group`; partitions move when members come and go."""
        ...


async def all_partitions(log: EventLog) -> range:
    """Return the partitions of all epochs of a log: some may be of an older one alone."""
    return range(max((await log.partitions()).values()))


async def all_ends(log: EventLog) -> list[Position]:
    """Return the last position of each partition of each epoch, where it has one."""
    ends = [end for epoch in await log.partitions() for end in await log.ends(epoch)]
    return [end for end in ends if end.offset >= 0]


@runtime_checkable
class RepartitionedLog(EventLog, Protocol):
    """A log whose number of partitions can change while it is in use."""

    async def repartition(self, partitions: int) -> int:
        """Begin an epoch of `partitions` partitions and return its number; older epochs are folded to their end first.

        Raises InvalidInput for a number that cannot be, Conflict where another call or the state of the log forbids it.
        """
        ...

"""Folding a log again from its start: what its fold once added to it stands there already."""

from collections.abc import Mapping, Sequence

from kindred.core.position import START, Position
from kindred.ports.log import EventLog, LogRecord, all_partitions
from kindred.ports.resource import Capabilities


class ReplayedLog:
    """A log that is folded a second time: it is read as it is, and takes neither records nor commits nor members."""

    def __init__(self, log: EventLog) -> None:
        """Read `log`; closing it is left to its owner."""
        self._log = log

    @property
    def capabilities(self) -> Capabilities:
        """Return those of the log, without groups: whoever holds the lease folds it again alone."""
        had = self._log.capabilities
        return Capabilities(durable=had.durable, shared=had.shared, partitioned=had.partitioned)

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Drop the records: the first fold appended them, and they are read where they stand."""
        return [START] * len(records)

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`."""
        return await self._log.read(after, limit)

    async def ends(self, epoch: int | None = None) -> list[Position]:
        """Return the position of the last record of each partition."""
        return await self._log.ends(epoch)

    async def partitions(self) -> Mapping[int, int]:
        """Return how many partitions each epoch has."""
        return await self._log.partitions()

    async def commit(self, group: str, position: Position) -> None:
        """Do nothing: the commits belong to the first fold."""

    async def committed(self, group: str) -> list[Position]:
        """Return that nothing is committed."""
        return [START._replace(partition=partition) for partition in await all_partitions(self._log)]

    def partition_of(self, key: str, epoch: int | None = None) -> int:
        """Return the partition of a key."""
        return self._log.partition_of(key, epoch)

    async def trim(self, before: Position) -> int:
        """Delete nothing."""
        return 0

    async def check(self) -> None:
        """Ask the log."""
        await self._log.check()

    async def close(self) -> None:
        """Leave the log open for its owner."""

"""An event log in one process's memory, of one partition or several that a group of consumers shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from kindred.adapters.memory.group import MemoryGroup, MemoryMembership
from kindred.core.errors import ConfigError, InvalidInput, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import LogRecord
from kindred.ports.resource import Capabilities

_MOST_PARTITIONS = 1_000


@dataclass(slots=True)
class _Part:
    """One partition of one epoch; `first` is the offset of the first record that was not trimmed."""

    first: int = 0
    records: list[bytes] = field(default_factory=list)

    @property
    def next(self) -> int:
        """Return the offset that comes next."""
        return self.first + len(self.records)


class MemoryEventLog:
    """Lists of records: one list for each partition of each epoch, whose offsets start at 0."""

    def __init__(self, partitions: int = 1) -> None:
        """Start empty."""
        self._epochs = [[_Part() for _ in range(partitions)]]
        self._committed: dict[str, dict[int, Position]] = {}
        self._groups: dict[str, MemoryGroup] = {}
        self._shared_out = partitions > 1

    @property
    def capabilities(self) -> Capabilities:
        """Return that nothing outlives the process, and whether there are several partitions to share out."""
        return Capabilities(groups=self._shared_out, partitioned=self._shared_out)

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append records and return a position each."""
        epoch = len(self._epochs) - 1
        placed = []
        for key, data in records:
            partition = self.partition_of(key)
            part = self._epochs[epoch][partition]
            placed.append(Position(epoch, partition, part.next))
            part.records.append(data)
        return placed

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`, those of its own epoch first."""
        found: list[LogRecord] = []
        # Those who fold an older epoch read nothing newer before the whole group is done with it.
        shared = [self._shared(name) for name, group in self._groups.items() if not group.deserted]
        for epoch in range(max(after.epoch, 0), min(shared, default=len(self._epochs) - 1) + 1):
            if after.partition >= len(self._epochs[epoch]):
                continue
            part = self._epochs[epoch][after.partition]
            start = max(after.offset + 1 if epoch == after.epoch else 0, part.first)
            room = max(limit - len(found), 0)
            data = part.records[start - part.first :][:room]
            found += [
                LogRecord(Position(epoch, after.partition, offset), each) for offset, each in enumerate(data, start)
            ]
        return found

    async def ends(self, epoch: int | None = None) -> list[Position]:
        """Return the last record's position in each partition of an epoch, else of the present one."""
        number = len(self._epochs) - 1 if epoch is None else epoch
        return [Position(number, partition, part.next - 1) for partition, part in enumerate(self._parts(epoch))]

    async def partitions(self) -> Mapping[int, int]:
        """Return how many partitions each epoch has."""
        return {epoch: len(parts) for epoch, parts in enumerate(self._epochs)}

    async def commit(self, group: str, position: Position) -> None:
        """Remember how far `group` is."""
        known = self._committed.setdefault(group, {})
        known[position.partition] = max(known.get(position.partition, position), self._own(position))
        self._share_out(group)

    async def committed(self, group: str) -> list[Position]:
        """Return where each partition is read on from, in the oldest epoch that `group` has not folded there."""
        known = self._committed.get(group, {})
        places = [self._place(partition, known.get(partition)) for partition in range(max(map(len, self._epochs)))]
        return [place for place in places if place is not None]

    def partition_of(self, key: str, epoch: int | None = None) -> int:
        """Return the partition of a key: its hash among the partitions of an epoch, else of the present one."""
        return xxhash.xxh3_64_intdigest(key.encode()) % len(self._parts(epoch))

    async def trim(self, before: Position) -> int:
        """Delete records before `before`; return how many went."""
        gone = 0
        for epoch, parts in enumerate(self._epochs[: before.epoch + 1]):
            if before.partition < len(parts):
                part = parts[before.partition]
                end = min(before.offset, part.next) if epoch == before.epoch else part.next
                count = max(end - part.first, 0)
                del part.records[:count]
                part.first += count
                gone += count
        return gone

    async def begin_epoch(self) -> int:
        """Begin an epoch of as many partitions, as after a restore; return its number."""
        return await self.repartition(len(self._epochs[-1]))

    async def repartition(self, partitions: int) -> int:
        """Begin an epoch of `partitions` partitions and return its number; groups share out the older ones first."""
        if partitions < 1:
            raise InvalidInput.at("/partitions", f"is 1 or more, not {partitions}")
        self._epochs.append([_Part() for _ in range(partitions)])
        for group in self._groups:
            self._share_out(group)
        return len(self._epochs) - 1

    async def join(self, group: str) -> MemoryMembership:
        """Become a member of `group`."""
        if group not in self._groups:
            self._groups[group] = MemoryGroup(len(self._epochs[self._shared(group)]))
        return self._groups[group].join()

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Do nothing: memory goes with the process."""

    def _shared(self, group: str) -> int:
        """Return the oldest epoch that a group has not folded to its end, at the latest the present one."""
        known = self._committed.get(group, {})
        for epoch, parts in enumerate(self._epochs[:-1]):
            for partition, part in enumerate(parts):
                last = Position(epoch, partition, part.next - 1)
                if part.records and known.get(partition, last._replace(offset=-1)) < last:
                    return epoch
        return len(self._epochs) - 1

    def _place(self, partition: int, known: Position | None) -> Position | None:
        """Return where a partition is read on from; None where only an older epoch has it, and that is folded."""
        for epoch, parts in enumerate(self._epochs):
            if partition >= len(parts) or (known is not None and known.epoch > epoch):
                continue
            start = known if known is not None and known.epoch == epoch else Position(epoch, partition, -1)
            if parts is self._epochs[-1] or start.offset < parts[partition].next - 1:
                return start
        return None

    def _share_out(self, group: str) -> None:
        if group in self._groups:
            self._groups[group].resize(len(self._epochs[self._shared(group)]))

    def _parts(self, epoch: int | None) -> list[_Part]:
        if epoch is None:
            return self._epochs[-1]
        if not 0 <= epoch < len(self._epochs):
            raise StoreUnavailable(f"this log has {len(self._epochs)} epochs and not epoch {epoch}")
        return self._epochs[epoch]

    def _own(self, position: Position) -> Position:
        """Return a position of this log; raise InvalidInput for one of another log."""
        if 0 <= position.epoch < len(self._epochs) and position.partition < len(self._epochs[position.epoch]):
            return position
        known = f"epochs up to {len(self._epochs) - 1}, the present one with {len(self._epochs[-1])} partitions"
        raise InvalidInput.at("/position", f"this log has {known}, and no partition of {position}")


async def open_event_log(location: str, home: Path) -> MemoryEventLog:
    """Return a new empty log of as many partitions as `location` says, one where it is empty."""
    if location and (not location.isdecimal() or not 1 <= int(location) <= _MOST_PARTITIONS):
        raise ConfigError(f"`memory:{location}`: behind the colon stands a number of partitions, 1 to 1,000")
    return MemoryEventLog(int(location or 1))

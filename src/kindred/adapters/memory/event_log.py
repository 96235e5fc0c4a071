"""An event log in one process's memory."""

from collections.abc import Sequence
from pathlib import Path

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.ports.log import DeadLetter, LogRecord
from kindred.ports.resource import Capabilities


class MemoryEventLog:
    """A list of records in epoch 0 and partition 0; positions are its indexes."""

    def __init__(self) -> None:
        """Start empty."""
        self._records: list[bytes] = []
        self._committed: dict[str, int] = {}
        self._letters: dict[int, DeadLetter] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Return that nothing is promised: one process, and nothing outlives it."""
        return Capabilities()

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append records and return a position each."""
        first = len(self._records)
        self._records.extend(data for _, data in records)
        return [Position(0, 0, offset) for offset in range(first, len(self._records))]

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`."""
        if after.partition != 0 or after.epoch > 0:
            return []
        start = max(after.offset + 1, 0) if after.epoch == 0 else 0
        found = self._records[start : start + max(limit, 0)]
        return [LogRecord(Position(0, 0, offset), data) for offset, data in enumerate(found, start)]

    async def ends(self) -> list[Position]:
        """Return the last record's position."""
        return [Position(0, 0, len(self._records) - 1)]

    async def commit(self, group: str, position: Position) -> None:
        """Remember how far `group` is."""
        self._committed[group] = max(self._committed.get(group, -1), _own_offset(position))

    async def committed(self, group: str) -> list[Position]:
        """Return how far `group` is."""
        return [Position(0, 0, self._committed.get(group, -1))]

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records that cannot be folded; the first burial of a position counts."""
        for letter in letters:
            self._letters.setdefault(_own_offset(letter.position), letter)

    async def dead_letters(self, after: Position, limit: int) -> list[DeadLetter]:
        """Return up to `limit` dead letters behind `after`."""
        if after.partition != 0:
            return []
        found = [letter for _, letter in sorted(self._letters.items()) if letter.position > after]
        return found[: max(limit, 0)]

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Do nothing: memory goes with the process."""


def _own_offset(position: Position) -> int:
    if position[:2] != (0, 0):
        raise InvalidInput.at("/position", f"this log has epoch 0 and partition 0, not {position}")
    return position.offset


async def open_event_log(location: str, home: Path) -> MemoryEventLog:
    """Return a new empty log; the place is not used."""
    return MemoryEventLog()

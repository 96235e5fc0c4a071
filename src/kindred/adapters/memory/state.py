"""Folded state in one process's memory."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from kindred.core.errors import InvalidInput, StateWentBack
from kindred.core.position import START, Position
from kindred.ports.resource import Capabilities
from kindred.ports.state import StateKey, StateRecord, StateView, StateWrite

MAX_KEY = 511


class MemoryStateStore:
    """A dictionary of records that only move forward."""

    def __init__(self) -> None:
        """Start empty."""
        self._records: dict[StateKey, StateRecord] = {}
        self._watermarks: dict[int, Position] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Return that one process alone uses it, and that watermark and records are stored together."""
        return Capabilities(atomic_offset=True)

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        """Return the watermark and the records as they are now."""
        found = [self._records.get(_checked(key)) for key in keys]
        return StateView(
            await self.watermark(partition), [record if record and record.value else None for record in found]
        )

    async def heads(self, group: str, keys: Sequence[str], size: int) -> bytes:
        """Return the first `size` bytes of each value."""
        records = (await self.read([StateKey(group, key) for key in keys])).records
        return b"".join([(record.value[:size] if record else b"").ljust(size, b"\0") for record in records])

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        """Store what moves forward and the watermark; raise StateWentBack where it is lower than `standing`."""
        moved = 0
        if standing is not None and (place := await self.watermark(watermark.partition)) < standing:
            raise StateWentBack(f"the state stands at {place}, and this write was built on {standing}")
        for key, _ in writes:
            _checked(key)
        for key, record in writes:
            stored = self._records.get(key)
            if stored is None or record.position > stored.position:
                self._records[key] = record
                moved += 1
        self._watermarks[watermark.partition] = max(watermark, await self.watermark(watermark.partition))
        return moved

    async def watermark(self, partition: int = 0) -> Position:
        """Return how far the partition is folded."""
        return self._watermarks.get(partition, START._replace(partition=partition))

    async def scan(self, group: str) -> AsyncIterator[tuple[str, StateRecord]]:
        """Go through a group's records by key, in order of their UTF-8."""
        found = [(key.key, record) for key, record in self._records.items() if key.group == group and record.value]
        for key, record in sorted(found, key=lambda row: row[0].encode()):
            yield key, record

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Do nothing: memory goes with the process."""


def _checked(key: StateKey) -> StateKey:
    if not key.group or "\0" in key.group:
        raise InvalidInput.at("/group", "must have characters, and no NUL")
    size = len(key.group.encode()) + len(key.key.encode())
    if size >= MAX_KEY:
        raise InvalidInput.at("/key", f"group and key have at most {MAX_KEY - 1} bytes as UTF-8, not {size}")
    return key


async def open_state(location: str, home: Path) -> MemoryStateStore:
    """Return a new empty store; the place is not used."""
    return MemoryStateStore()

"""Users' records as they stood, for a replay: what the serving stages read, and nothing else."""

from collections.abc import AsyncIterator, Sequence

import numpy as np

from kindred.core.position import Position
from kindred.features.groups import ITEM
from kindred.ports.resource import Capabilities
from kindred.ports.state import StateKey, StateRecord, StateView, StateWrite
from kindred.training.item_clock import ItemClock


class ReplayState:
    """A StateStore over one set of records; every write replaces what stood there."""

    capabilities = Capabilities()

    def __init__(self, items: ItemClock | None = None) -> None:
        """Start empty; `items` knows the records of items at each moment."""
        self.items = items
        self._records: dict[StateKey, StateRecord] = {}
        self._watermark = Position(0, 0, -1)

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        """Return the records under `keys`, in order."""
        return StateView(self._watermark, [self._records.get(key) for key in keys])

    async def heads(self, group: str, keys: Sequence[str], size: int) -> bytes:
        """Return the first `size` bytes of each value; of items, what the clock makes of their rows."""
        if group == ITEM and self.items is not None:
            return self.items.heads(np.array(keys, np.int64))
        found = [self._records.get(StateKey(group, key)) for key in keys]
        return b"".join([(record.value[:size] if record else b"").ljust(size, b"\0") for record in found])

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        """Keep records."""
        self._records.update((write.key, write.record) for write in writes)
        self._watermark = watermark
        return len(writes)

    async def watermark(self, partition: int = 0) -> Position:
        """Return the position of the last write."""
        return self._watermark

    async def scan(self, group: str) -> AsyncIterator[tuple[str, StateRecord]]:
        """Go through a group's records by key."""
        for key in sorted(self._records):
            if key.group == group:
                yield key.key, self._records[key]

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; the records go with the replay."""

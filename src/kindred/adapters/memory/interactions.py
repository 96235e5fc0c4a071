"""The history of interactions in this process's memory."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from pathlib import Path

import numpy as np

from kindred.core.errors import InvalidInput
from kindred.core.ids import hashed_id
from kindred.core.position import Position
from kindred.ports.interactions import (
    EVERY_ITEM,
    EVERY_TYPE,
    InteractionColumns,
    InteractionRow,
    Tombstone,
    outliving,
)
from kindred.ports.resource import Capabilities

_ROW_ID_BYTES = 16


async def open_interactions(location: str, home: Path) -> "MemoryInteractions":
    """Open an empty store; `location` and `home` are of no account."""
    return MemoryInteractions()


class MemoryInteractions:
    """An InteractionStore that ends with the process: for tests and for replays."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._users: defaultdict[str, dict[bytes, InteractionRow]] = defaultdict(dict)
        self._items: defaultdict[int, dict[tuple[str, bytes], InteractionRow]] = defaultdict(dict)
        self._tombstones: dict[Tombstone, Position] = {}

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def add(self, rows: Sequence[InteractionRow], position: Position) -> int:
        """Insert rows, skipping known row ids and what was forgotten or removed at `position` or later."""
        gone = {each for each, place in self._tombstones.items() if place >= position}
        return self._add_all(outliving(rows, gone) if gone else rows)

    async def add_columns(self, columns: InteractionColumns) -> int:
        """Insert many rows at once, skipping known row ids; return how many were new."""
        lengths = {name: len(getattr(columns, name)) for name in InteractionColumns.__slots__}
        if len(set(lengths.values())) > 1:
            raise InvalidInput(f"the columns of interactions differ in length: {lengths}")
        row_ids = np.ascontiguousarray(columns.row_ids)
        # A view as void, since bytes strings drop the zero bytes that an id may end with.
        ids = row_ids.view(f"V{row_ids.dtype.itemsize}").tolist()
        times = [None if time == -1 else time for time in columns.timestamps.tolist()]
        items, values = columns.items.tolist(), columns.values.tolist()
        rows = zip(ids, columns.users, items, columns.event_types, times, values, strict=True)
        return self._add_all([InteractionRow(*row) for row in rows])

    async def by_user(self, user_id: str, limit: int, before: int | None = None) -> list[InteractionRow]:
        """Return a user's rows newest first, rows without time last; `before` (ms) leaves out rows at or after it."""
        rows = self._users[user_id].values() if user_id in self._users else ()
        earlier = (row for row in rows if before is None or row.timestamp is None or row.timestamp < before)
        return _newest(earlier, limit)

    async def by_item(self, item: int, limit: int) -> list[InteractionRow]:
        """Return an item's rows, newest first; rows without time come last."""
        return _newest(self._items[item].values() if item in self._items else (), limit)

    async def remove(
        self, user_id: str, item: int, position: Position, event_types: Sequence[str] | None = None
    ) -> int:
        """Delete a user's rows of one item, or those of some event types alone; return how many there were."""
        user = hashed_id(user_id)
        if self._stands((user, EVERY_ITEM, EVERY_TYPE), position):
            return 0
        names = [EVERY_TYPE] if event_types is None else event_types
        kinds = {kind for kind in names if self._set((user, item, kind), position)}
        return self._delete(
            user_id, lambda row: int(row.item) == item and (EVERY_TYPE in kinds or row.event_type in kinds)
        )

    async def trim(self, before: int) -> int:
        """Delete rows of before a time (ms), those without time stay; return how many there were."""
        return sum(
            self._delete(user_id, lambda row: row.timestamp is not None and row.timestamp < before)
            for user_id in list(self._users)
        )

    async def forget(self, user_id: str, position: Position) -> int:
        """Delete a user's rows; return how many there were."""
        if not self._set((hashed_id(user_id), EVERY_ITEM, EVERY_TYPE), position):
            return 0
        return self._delete(user_id, lambda row: True)

    async def counts(self) -> tuple[int, int, int]:
        """Return how many rows, distinct users and distinct items there are."""
        return sum(map(len, self._users.values())), len(self._users), len(self._items)

    def _delete(self, user_id: str, doomed: Callable[[InteractionRow], bool]) -> int:
        rows = self._users.get(user_id, {})
        gone = {row_id: row for row_id, row in rows.items() if doomed(row)}
        for row_id, row in gone.items():
            of_item = self._items[int(row.item)]
            del rows[row_id], of_item[user_id, row_id]
            if not of_item:
                del self._items[int(row.item)]
        if user_id in self._users and not rows:
            del self._users[user_id]
        return len(gone)

    def _stands(self, tombstone: Tombstone, position: Position) -> bool:
        return tombstone in self._tombstones and self._tombstones[tombstone] >= position

    def _set(self, tombstone: Tombstone, position: Position) -> bool:
        """Set a tombstone; return False where one of that position or a later one stands."""
        if self._stands(tombstone, position):
            return False
        self._tombstones[tombstone] = position
        return True

    def _add_all(self, rows: Sequence[InteractionRow]) -> int:
        for row in rows:
            if len(row.row_id) != _ROW_ID_BYTES:
                raise InvalidInput.at("/row_id", f"must have {_ROW_ID_BYTES} bytes, has {len(row.row_id)}")
        return sum(self._add(row) for row in rows)

    def _add(self, row: InteractionRow) -> bool:
        of_user = self._users[row.user_id]
        if row.row_id in of_user:
            return False
        of_user[row.row_id] = row
        self._items[int(row.item)][row.user_id, row.row_id] = row
        return True


def _newest(rows: Iterable[InteractionRow], limit: int) -> list[InteractionRow]:
    """Return up to `limit` rows by time, newest first and unknown last, ties by row id."""
    return nlargest(limit, rows, key=_recency)


def _recency(row: InteractionRow) -> tuple[bool, int, bytes]:
    return row.timestamp is not None, row.timestamp or 0, row.row_id

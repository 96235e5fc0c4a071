"""Interactions as the batches that one transaction stores, in the order of the table's key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.ports.interactions import InteractionColumns, InteractionRow

UNKNOWN_TIME = -(2**63)
ROW_ID_BYTES = 16
_ROWS_PER_BATCH = 50_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one transaction, sorted by user and time.

    `users` and `event_types` are distinct names; `user` and `event_type (n,) int64` index them; `time (n,) int64` is in
    ms with UNKNOWN_TIME; `row_id (n,) V16`; `item (n,) int32`; `value (n,) float64` with NaN for none.
    """

    COLUMNS: ClassVar[int] = 6

    users: list[str]
    event_types: list[str]
    user: NDArray[np.int64]
    time: NDArray[np.int64]
    row_id: NDArray[np.void]
    item: NDArray[np.int32]
    event_type: NDArray[np.int64]
    value: NDArray[np.float64]

    def flat(self, users: Sequence[int], event_types: Sequence[int]) -> list[Any]:
        """Return user, time, row id, item, type, value of each row, one behind the other, names replaced by numbers."""
        user = np.array(users, np.int64)[self.user]
        event_type = np.array(event_types, np.int64)[self.event_type]
        columns = (user, self.time, self.row_id, self.item, event_type, self.value)
        return list(chain.from_iterable(zip(*(column.tolist() for column in columns), strict=True)))


def batch_of(rows: Sequence[InteractionRow]) -> Batch | None:
    """Return rows as a single batch, or None when there are none; raise InvalidInput for a row id of another length."""
    if not rows:
        return None
    row_ids, users, items, event_types, times, values = zip(*rows, strict=True)
    columns = InteractionColumns(
        row_ids=np.frombuffer(b"".join(map(_row_id, row_ids)), f"V{ROW_ID_BYTES}"),
        users=users,
        items=np.array(items, np.int32),
        event_types=event_types,
        timestamps=np.array([UNKNOWN_TIME if time is None else time for time in times], np.int64),
        values=np.array(values, np.float64),
    )
    return next(_batches(columns, columns.timestamps, len(rows)))


def sorted_batches(columns: InteractionColumns) -> Iterator[Batch]:
    """Cut columns into batches; raise InvalidInput when their lengths or the row ids' length differ."""
    lengths = {name: len(getattr(columns, name)) for name in InteractionColumns.__slots__}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the columns of interactions differ in length: {lengths}")
    if columns.row_ids.dtype.itemsize != ROW_ID_BYTES:
        raise InvalidInput.at("/row_ids", f"must have {ROW_ID_BYTES} bytes each, have {columns.row_ids.dtype.itemsize}")
    times = np.where(columns.timestamps == -1, UNKNOWN_TIME, columns.timestamps)
    return _batches(columns, times, _ROWS_PER_BATCH)


def _batches(columns: InteractionColumns, times: NDArray[np.int64], size: int) -> Iterator[Batch]:
    users, user = _numbered(columns.users)
    event_types, event_type = _numbered(columns.event_types)
    # A view as V16, since S16 drops the zero bytes that an id may end with.
    row_ids = np.ascontiguousarray(columns.row_ids).view(f"V{ROW_ID_BYTES}")
    order = np.lexsort((times, user))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        first, last = user[rows[0]], user[rows[-1]]
        yield Batch(
            users=users[first : last + 1],
            event_types=event_types,
            user=user[rows] - first,
            time=times[rows],
            row_id=row_ids[rows],
            item=columns.items[rows],
            event_type=event_type[rows],
            value=columns.values[rows],
        )


def _numbered(names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct names, first seen first, and the index of each name among them."""
    numbers: dict[str, int] = {}
    index = np.fromiter((numbers.setdefault(name, len(numbers)) for name in names), np.int64, len(names))
    return list(numbers), index


def _row_id(row_id: bytes) -> bytes:
    if len(row_id) != ROW_ID_BYTES:
        raise InvalidInput.at("/row_id", f"must have {ROW_ID_BYTES} bytes, has {len(row_id)}")
    return row_id

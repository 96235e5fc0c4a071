"""A user's newest interactions as columns: an order of rows that needs no ids, so that any two folds can be merged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import InvalidInput
from kindred.features.groups import MAX_TYPES


@dataclass(frozen=True, slots=True)
class HistoryRows:
    """Interactions of one user, newest first.

    `items (n,) int32` ordinals, `timestamps (n,) int64` ms with -1 for unknown (oldest), `codes (n,) uint8` into
    `names`, `values (n,) float32` with NaN for none. Equal times are ordered by the rest of the row, so the order
    depends on what the rows say and never on when they were folded.
    """

    items: Ordinals
    timestamps: NDArray[np.int64]
    codes: NDArray[np.uint8]
    values: Floats
    names: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> Self:
        """Return no rows."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.float32))

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, str, float]]) -> Self:
        """Build rows from (item, timestamp, event type, value) tuples in any order."""
        names = tuple(sorted({row[2] for row in rows}))
        columns = cls(
            np.array([row[0] for row in rows], np.int32),
            np.array([row[1] for row in rows], np.int64),
            np.array([names.index(row[2]) for row in rows], np.uint8),
            np.array([row[3] for row in rows], np.float32),
            check_names(names),
        )
        return columns if len(rows) < 2 else columns.take(newest_first(columns))

    def __len__(self) -> int:
        """Return n."""
        return len(self.items)

    def take(self, index: Any) -> Self:
        """Return the rows that a slice, an index array or a mask selects, in its order."""
        columns = (self.items, self.timestamps, self.codes, self.values)
        items, timestamps, codes, values = (column[index] for column in columns)
        return type(self)(items, timestamps, codes, values, self.names)

    def event_types(self) -> list[str]:
        """Return the name of each row's event type."""
        return [self.names[code] for code in self.codes]


def check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names unchanged; raise InvalidInput when one byte cannot number them."""
    if len(names) > MAX_TYPES:
        raise InvalidInput(f"{len(names)} event types; a record holds at most {MAX_TYPES}")
    return names


def mixed(items: Ordinals) -> NDArray[np.uint32]:
    """Scatter ordinals, so that a cut among rows of equal time favours no part of the catalogue.

    Multiplicative hashing (Knuth 1973, volume 3, section 6.4).
    """
    return items.astype(np.uint32) * np.uint32(2_654_435_769)


def newest_first(rows: HistoryRows, owners: NDArray[np.integer[Any]] | None = None) -> NDArray[np.intp]:
    """Return the canonical order of rows; with `owners (n,)` ascending by owner, newest first within each."""
    keys: list[NDArray[Any]] = []
    if not bool(np.isnan(rows.values).all()):
        keys.append(rows.values)
    if len(rows.names) > 1:
        rank = np.empty(len(rows.names), np.uint8)
        rank[sorted(range(len(rows.names)), key=rows.names.__getitem__)] = np.arange(len(rows.names))
        keys.append(rank[rows.codes])
    keys += [mixed(rows.items), rows.timestamps]
    if owners is not None:
        keys.append(-owners)
    return np.lexsort(keys)[::-1]


def merge_rows(left: HistoryRows, right: HistoryRows, limit: int) -> HistoryRows:
    """Return the newest `limit` rows of both; the result is the same in whatever order rows were merged."""
    if not len(left) or not len(right):
        return (left if len(left) else right).take(slice(0, limit))
    left, right = _same_names(left, right)
    ordered = int(right.timestamps[-1]) > int(left.timestamps[0])
    joined = _concatenate(right, left)
    return joined.take(slice(0, limit) if ordered else newest_first(joined)[:limit])


def _same_names(left: HistoryRows, right: HistoryRows) -> tuple[HistoryRows, HistoryRows]:
    """Number the event types of both alike, the left one's numbers unchanged."""
    if left.names == right.names:
        return left, right
    added = tuple(name for name in right.names if name not in left.names)
    names = check_names(left.names + added)
    recoded = np.array([names.index(name) for name in right.names], np.uint8)[right.codes]
    return (
        HistoryRows(left.items, left.timestamps, left.codes, left.values, names),
        HistoryRows(right.items, right.timestamps, recoded, right.values, names),
    )


def _concatenate(first: HistoryRows, second: HistoryRows) -> HistoryRows:
    """Put the rows of one behind those of the other; both number event types alike."""
    return HistoryRows(
        np.concatenate([first.items, second.items]),
        np.concatenate([first.timestamps, second.timestamps]),
        np.concatenate([first.codes, second.codes]),
        np.concatenate([first.values, second.values]),
        first.names,
    )

"""Candidates: columns, never objects, until a slate is serialised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ordinals: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

MAX_SOURCES = 32


@dataclass(frozen=True, slots=True)
class Candidates:
    """A struct of arrays over n candidate items.

    `items (n,) int32` are catalogue ordinals, distinct; `columns` are named float32 arrays of length n (NaN = no
    value); `provenance (n,) uint32` has bit s set when source number s proposed the item.
    """

    items: Ordinals
    columns: Mapping[str, Floats] = field(default_factory=dict)
    provenance: NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.items)

    @classmethod
    def empty(cls) -> Self:
        """Return no candidates at all."""
        return cls(np.empty(0, np.int32), {}, np.empty(0, np.uint32))

    def take(self, index: NDArray[np.intp] | Mask) -> Self:
        """Return the rows that an index array or a mask selects, in its order."""
        # A mask is turned into positions once, not anew for every column.
        rows = np.flatnonzero(index) if index.dtype == np.bool_ else index
        provenance = None if self.provenance is None else self.provenance[rows]
        return type(self)(self.items[rows], {k: v[rows] for k, v in self.columns.items()}, provenance)

    def with_columns(self, columns: Mapping[str, Floats]) -> Self:
        """Return the same rows with columns added or replaced."""
        return type(self)(self.items, {**self.columns, **columns}, self.provenance)

    def column(self, name: str, default: float = np.nan) -> Floats:
        """Return a column, or a constant one when no stage wrote it."""
        found = self.columns.get(name)
        return np.full(len(self), default, np.float32) if found is None else found

    @classmethod
    def merge(cls, parts: Sequence["Candidates"], bits: Sequence[int]) -> Self:
        """Join parts into distinct items, ascending; a column keeps the value of the first part that has it.

        `bits[p]` is the provenance bit of part p. Columns absent from a part are NaN for the items it alone brought.
        Column `best_rank` is the item's best place (from 0) in any part.
        """
        if not parts:
            return cls.empty()
        stacked = np.concatenate([part.items for part in parts])
        distinct, rows = np.unique(stacked, return_inverse=True)
        provenance = np.zeros(len(distinct), np.uint32)
        columns: dict[str, Floats] = {}
        best = np.full(len(distinct), np.inf, np.float32)
        start = 0
        for part, bit in zip(parts, bits, strict=True):
            mine = rows[start : start + len(part)]
            provenance[mine] |= np.uint32(1 << bit)
            best[mine] = np.minimum(best[mine], np.arange(len(part), dtype=np.float32))
            for name, values in part.columns.items():
                if name not in columns:
                    columns[name] = np.full(len(distinct), np.nan, np.float32)
                    columns[name][mine] = values
                else:
                    column = columns[name]
                    column[mine] = np.where(np.isnan(column[mine]), values, column[mine])
            start += len(part)
        columns["best_rank"] = best
        return cls(distinct.astype(np.int32, copy=False), columns, provenance)

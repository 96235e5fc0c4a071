"""Categories of items as compressed rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ItemCategories:
    """Categories of n items: those of item i are `codes[indptr[i]:indptr[i + 1]]` into `names`, the primary first.

    `indptr (n + 1,) int64`, `codes (m,) int32`. Raises InvalidInput when they do not fit one another.
    """

    names: tuple[str, ...]
    indptr: NDArray[np.int64]
    codes: Ordinals

    def __post_init__(self) -> None:
        """Check that offsets and codes fit."""
        if not len(self.indptr) or self.indptr[0] != 0 or self.indptr[-1] != len(self.codes):
            raise InvalidInput.at("/indptr", "must rise from 0 to the number of codes")
        if len(self.codes) and (self.codes.min() < 0 or self.codes.max() >= len(self.names)):
            raise InvalidInput.at("/codes", f"holds a code outside the {len(self.names)} names")

    @classmethod
    def from_lists(cls, categories: Sequence[Sequence[str]]) -> Self:
        """Number the names in sorted order; `categories[i]` are those of ordinal i."""
        names = tuple(sorted({name for row in categories for name in row}))
        code = {name: number for number, name in enumerate(names)}
        indptr = np.cumsum([0, *(len(row) for row in categories)], dtype=np.int64)
        codes = np.array([code[name] for row in categories for name in row], np.int32)
        return cls(names, indptr, codes)

    @property
    def n_items(self) -> int:
        """Return n."""
        return len(self.indptr) - 1

    def primary(self) -> Ordinals:
        """Return the code of each item's primary category (n,) int32, -1 where it has none."""
        found = np.full(self.n_items, -1, np.int32)
        has = np.diff(self.indptr) > 0
        found[has] = self.codes[self.indptr[:-1][has]]
        return found

    def members(self) -> tuple[NDArray[np.int64], Ordinals]:
        """Return the transposed rows: offsets (len(names) + 1,) and the ordinals of each category, ascending."""
        items = np.repeat(np.arange(self.n_items, dtype=np.int32), np.diff(self.indptr))
        order = np.argsort(self.codes, kind="stable")
        sizes = np.bincount(self.codes, minlength=len(self.names))
        return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), items[order]

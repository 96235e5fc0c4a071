"""Sets of items per user in compressed rows: what is relevant, what was seen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation import checks


class ItemSets(NamedTuple):
    """One set of item ordinals per user, in CSR form.

    `indptr (u + 1,) int64`, `indices (sum of sizes,) int32`, strictly increasing inside a row.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    @property
    def n_users(self) -> int:
        """Return the number of rows u."""
        return len(self.indptr) - 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Return each user's number of items, (u,) int64."""
        return np.diff(self.indptr)

    def owners(self) -> NDArray[np.int64]:
        """Return the row that each entry of `indices` belongs to, (nnz,) int64."""
        return np.repeat(np.arange(self.n_users), self.sizes)

    def take(self, rows: ArrayLike) -> "ItemSets":
        """Return the sets of the named users, `rows (m,) int`, in that order."""
        chosen = checks.ordinals("rows", rows, self.n_users)
        sizes = self.sizes[chosen]
        indptr = np.concatenate(([0], np.cumsum(sizes)))
        source = np.arange(indptr[-1]) + np.repeat(self.indptr[chosen] - indptr[:-1], sizes)
        return ItemSets(indptr, self.indices[source])

    def minus(self, other: "ItemSets") -> "ItemSets":
        """Return each user's items that are not in the same user's set of `other`, as relevant less seen."""
        if other.n_users != self.n_users:
            raise InvalidInput.at("other", f"covers {other.n_users} users, not {self.n_users}; align the rows")
        kept = ~other.contains(self.owners(), self.indices)
        return from_pairs(self.owners()[kept], self.indices[kept], self.n_users)

    def contains(self, rows: NDArray[np.int64], items: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Say for each pair of `rows (m,)`, `items (m,)` if the item is in that user's set, (m,) bool."""
        highest = int(max(self.indices.max(initial=0), items.max(initial=0)))
        known = self.owners() * (highest + 1) + self.indices
        asked = rows * (highest + 1) + items
        # Rows and their items both increase, so `known` is already sorted.
        place = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
        found = (known[place] == asked) if len(known) else np.zeros(len(asked), dtype=np.bool_)
        return found & (items >= 0)

    def mask(self, start: int, stop: int, n_items: int) -> NDArray[np.bool_]:
        """Return the sets of users `start` to `stop` as a dense block, (stop - start, n_items) bool."""
        block = np.zeros((stop - start, n_items), dtype=np.bool_)
        span = slice(int(self.indptr[start]), int(self.indptr[stop]))
        rows = np.repeat(np.arange(stop - start), self.sizes[start:stop])
        block[rows, checks.ordinals("indices", self.indices[span], n_items)] = True
        return block


def from_pairs(users: ArrayLike, items: ArrayLike, n_users: int) -> ItemSets:
    """Group pairs into one set per user; a repeated pair counts once.

    `users (n,) int` in [0, n_users), `items (n,) int`. Raises InvalidInput for an ordinal out of range.
    """
    rows = checks.ordinals("users", users, n_users)
    columns = checks.ordinals("items", items, np.iinfo(np.int32).max)
    checks.same_length(users=rows, items=columns)
    width = int(columns.max(initial=0)) + 1
    pairs = np.unique(rows * width + columns)
    sizes = np.bincount(pairs // width, minlength=n_users)
    return ItemSets(np.concatenate(([0], np.cumsum(sizes))), (pairs % width).astype(np.int32))


def from_csr(indptr: ArrayLike, indices: ArrayLike) -> ItemSets:
    """Check a CSR structure and sort its rows; raises InvalidInput when `indptr` does not fit `indices`."""
    ends = checks.ordinals("indptr", indptr)
    items = checks.ordinals("indices", indices)
    if len(ends) == 0 or ends[0] != 0 or ends[-1] != len(items) or np.any(np.diff(ends) < 0):
        raise InvalidInput.at("indptr", f"must rise from 0 to {len(items)}, the length of `indices`")
    return from_pairs(np.repeat(np.arange(len(ends) - 1), np.diff(ends)), items, len(ends) - 1)

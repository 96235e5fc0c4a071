"""Items that likely share users, by min-hashing: for catalogues where all pairs that share one are too many."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from kindred.core.candidates import Ordinals

BANDS = 48


class LikelyPairs:
    """Items in buckets, one for each of 48 orders of the users: which of its users comes first.

    Two items are in the same bucket of an order with the chance of their Jaccard similarity s (Broder, On the
    resemblance and containment of documents, 1997), so a pair is found with 1 - (1 - s)^48: 0.92 at s = 0.05, 0.99 at
    0.1. Time grows with the rows, not with the pairs.
    """

    def __init__(self, by_item: csr_matrix) -> None:
        """Put items into buckets by who chose them, `by_item (n, users)`."""
        n_items, users = by_item.shape
        used = np.flatnonzero(np.diff(by_item.indptr))
        buckets, made = np.empty((len(used), BANDS), np.int32), 0
        chance = np.random.default_rng(0)
        for band in range(BANDS):
            order = chance.permutation(users).astype(np.int32)
            first = np.minimum.reduceat(order[by_item.indices], by_item.indptr[used])
            names, place = np.unique(first, return_inverse=True)
            buckets[:, band] = made + place
            made += len(names)
        sizes = np.zeros(n_items + 1, np.int64)
        sizes[used + 1] = BANDS
        columns = (np.ones(buckets.size, np.int8), buckets.ravel(), np.cumsum(sizes))
        self._buckets = csr_matrix(columns, shape=(n_items, made))
        self._items = self._buckets.T.tocsr()

    def counts(self, wanted: Ordinals) -> NDArray[np.int64]:
        """Return how many items are in the buckets of each of `wanted (m,)`, one as often as it shares a bucket."""
        sizes = np.diff(self._items.indptr).astype(np.int64)
        found: NDArray[np.int64] = self._buckets[wanted].astype(np.int64) @ sizes
        return found

    def of(self, wanted: Ordinals) -> csr_matrix:
        """Return a matrix (m, n) with an entry where an item shares a bucket with one of `wanted (m,)`."""
        return (self._buckets[wanted] @ self._items).tocsr()


def products(by_item: csr_matrix, rows: Ordinals, pairs: csr_matrix, limit: int) -> csr_matrix:
    """Return the products of two items' rows of `by_item` where `pairs (m, n)` has entries, `rows (m,)` being its rows.

    At most about `limit` numbers are held at once.
    """
    pairs.sort_indices()
    left, right = np.repeat(rows, np.diff(pairs.indptr)), pairs.indices
    sizes = np.diff(by_item.indptr).astype(np.int64)
    held = np.cumsum(sizes[left] + sizes[right])
    dots = np.empty(len(right), np.float32)
    start = 0
    while start < len(right):
        before = held[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(held, before + limit, "right")))
        both = by_item[left[start:end]].multiply(by_item[right[start:end]])
        dots[start:end] = np.asarray(both.sum(axis=1)).ravel()
        start = end
    return csr_matrix((dots, right, pairs.indptr), shape=pairs.shape)

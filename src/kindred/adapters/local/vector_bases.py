"""What a built vector index is made of; here the exact scan of float32 rows."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kindred.adapters.local.vector_join import nearest
from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals


class Base(Protocol):
    """The read-only rows of a bundle."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows of how many dimensions there are."""
        ...

    def search(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        """Return allowed rows and their inner products, the k best among them, in any order."""
        ...

    def neighbours(self, asked: Ordinals, k: int) -> Ordinals:
        """Return the k nearest other rows of each row asked for (m, k), padded with -1."""
        ...


class ExactBase:
    """A scan of float32 rows: exact, and up to some 50,000 rows as fast as lists of codes."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Keep `vectors (n, d)`; of float16 rows a float32 copy, some 25 MB of this process at 50,000 rows of 128."""
        # Widened block by block at each search, that many rows took ten times as long: 10 ms instead of 1.
        # Arithmetic on the mapping's own array type costs more than on a plain view of it.
        self._vectors = vectors.view(np.ndarray).astype(np.float32, copy=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows of how many dimensions there are."""
        return self._vectors.shape[0], self._vectors.shape[1]

    def search(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        """Score every row and keep the best, all that equal the last of them too."""
        scores = self._vectors @ query
        if allowed is not None:
            np.copyto(scores, -np.inf, where=~allowed.mask())
        least = -np.inf
        if len(scores) > k:
            least = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows = np.flatnonzero(scores >= least if least > -np.inf else scores > -np.inf)
        return rows.astype(np.int32), scores.take(rows)

    def neighbours(self, asked: Ordinals, k: int) -> Ordinals:
        """Compare every row asked for with every row that has a vector."""
        live = np.any(self._vectors, axis=1)
        found = np.full((len(asked), k), -1, np.int32)
        known = live[asked]
        found[known] = nearest(self._vectors, asked[known], np.flatnonzero(live).astype(np.int32), k)
        return found


def best(ordinals: Ordinals, scores: Floats, k: int) -> tuple[Ordinals, Floats]:
    """Return the k rows of the greatest scores, best first, ties by ordinal, also across the cut."""
    if len(scores) > k:
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= threshold)
        ordinals, scores = ordinals[kept], scores[kept]
    order = np.lexsort((ordinals, -scores))[:k]
    return ordinals[order], scores[order]

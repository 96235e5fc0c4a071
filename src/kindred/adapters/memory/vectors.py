"""Vector indexes in one process's memory: an exact scan over a matrix."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.errors import BundleCorrupt, InvalidInput


class MemoryVectorIndex:
    """A float32 matrix with a row for each ordinal; rows without a vector are zero."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Keep a copy of `vectors (n, d)`."""
        self._vectors, self._built = vectors.copy(), vectors.copy()
        self._added: set[int] = set()

    @property
    def size(self) -> int:
        """Return how many ordinals the index covers."""
        return len(self._vectors)

    def search(self, query: Floats, k: int, allowed: Bits | None = None) -> tuple[Ordinals, Floats]:
        """Return up to k ordinals and inner products, best first, ties by ordinal; raise InvalidInput."""
        query = np.asarray(query, np.float32)
        if query.shape != self._vectors.shape[1:] or not np.isfinite(query).all():
            raise InvalidInput.at("/query", f"must have shape {self._vectors.shape[1:]} and be finite")
        live: Mask = np.any(self._vectors, axis=1)
        if allowed is not None:
            live &= allowed.resized(self.size).mask()
        ordinals = np.flatnonzero(live).astype(np.int32)
        scores = (self._vectors @ query)[ordinals]
        order = np.lexsort((ordinals, -scores))[: max(k, 0)]
        return ordinals[order], scores[order]

    def search_added(self, query: Floats, k: int) -> tuple[Ordinals, Floats]:
        """Return what `search` returns of the rows that were put in."""
        among = np.zeros(self.size, np.bool_)
        among[list(self._added)] = True
        return self.search(query, k, Bits.of(among))

    def neighbours(self, ordinals: Ordinals, k: int) -> Ordinals:
        """Return the k nearest others (m, k) among the rows that were built, padded with -1; raise InvalidInput."""
        if len(ordinals) and not 0 <= ordinals.min() <= ordinals.max() < len(self._built):
            raise InvalidInput.at("/ordinals", f"must be from 0 to {len(self._built) - 1}")
        found = np.full((len(ordinals), k), -1, np.int32)
        live = np.any(self._built, axis=1)
        for row, item in enumerate(ordinals.tolist()):
            others = np.flatnonzero(live & live[item] & (np.arange(len(live)) != item))
            order = np.lexsort((others, -(self._built[others] @ self._built[item])))[:k]
            found[row, : len(order)] = others[order]
        return found

    def upsert(self, ordinals: Ordinals, vectors: NDArray[np.float32]) -> None:
        """Replace or add rows; raise InvalidInput for rows that cannot be used."""
        vectors = _checked(vectors)
        if vectors.shape != (len(ordinals), self._vectors.shape[1]):
            raise InvalidInput.at("/vectors", f"must have shape {(len(ordinals), self._vectors.shape[1])}")
        if len(ordinals) and min(ordinals) < 0:
            raise InvalidInput.at("/ordinals", "must be 0 or more")
        missing = max([*ordinals.tolist(), -1]) + 1 - self.size
        if missing > 0:
            empty = np.zeros((missing, self._vectors.shape[1]), np.float32)
            self._vectors = np.concatenate([self._vectors, empty])
        for ordinal, vector in zip(ordinals, vectors, strict=True):
            self._vectors[ordinal] = vector
        self._added.update(ordinals.tolist())


class MemoryVectorIndexes:
    """Keeps what was built under the folder's name."""

    def __init__(self) -> None:
        """Start empty."""
        self._built: dict[Path, NDArray[np.float32]] = {}

    def build(self, vectors: NDArray[np.float32], folder: Path) -> dict[str, float]:
        """Keep the vectors; an exact scan has recall 1."""
        self._built[folder] = _checked(vectors).copy()
        return {"recall": 1.0, "seconds": 0.0}

    def open(self, folder: Path, vectors: NDArray[np.float32]) -> MemoryVectorIndex:
        """Return an index over what was built for the folder; raise BundleCorrupt when nothing was."""
        if folder not in self._built:
            raise BundleCorrupt(f"{folder}: no vector index was built for it in this process")
        return MemoryVectorIndex(self._built[folder])


def _checked(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0 or not np.isfinite(vectors).all():
        raise InvalidInput.at("/vectors", f"must have shape (n, d) and be finite, has {vectors.shape}")
    return vectors


async def open_vectors(location: str, home: Path) -> MemoryVectorIndexes:
    """Return a new empty place for indexes; the place is not used."""
    return MemoryVectorIndexes()

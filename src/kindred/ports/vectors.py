"""Nearest neighbours by inner product."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals


class VectorIndex(Protocol):
    """Item vectors by ordinal, searched by inner product; synchronous, since it works on memory and not on a wire."""

    @property
    def size(self) -> int:
        """Return how many ordinals the index covers."""
        ...

    def search(self, query: Floats, k: int, allowed: Bits | None = None) -> tuple[Ordinals, Floats]:
        """Return up to k (ordinals int32, inner products float32), best first, ties by ordinal.

        `query (d,) float32`; `allowed` leaves out the rest, also ordinals beyond its size. All-zero item vectors are
        never returned.
        """
        ...

    def search_added(self, query: Floats, k: int) -> tuple[Ordinals, Floats]:
        """Return what `search` returns, of the rows alone that `upsert` gave."""
        ...

    def neighbours(self, ordinals: Ordinals, k: int) -> Ordinals:
        """Return the k nearest others of each of `ordinals (m,)` as (m, k) int32, best first, padded with -1.

        Among the rows that it was built over, as these stood then; a row without a vector has no neighbours.
        """
        ...

    def upsert(self, ordinals: Ordinals, vectors: NDArray[np.float32]) -> None:
        """Replace or add rows (`vectors (m, d)`) in this process's side segment; a later search finds them."""
        ...


class VectorIndexes(Protocol):
    """Builds indexes into a folder and opens them from there."""

    def build(self, vectors: NDArray[np.float32], folder: Path) -> dict[str, float]:
        """Write an index over `vectors (n, d)`, float32 or float16, into `folder`.

        Return what was measured (recall, seconds).
        """
        ...

    def open(self, folder: Path, vectors: NDArray[np.float32]) -> VectorIndex:
        """Open a written index, memory-mapped; raise BundleCorrupt when files are missing, damaged or of other rows.

        `vectors (n, d)` are what it was built over, for exact scores, and may have grown since. Those of a large index
        are kept and not copied.
        """
        ...

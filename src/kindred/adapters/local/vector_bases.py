"""What a built vector index is made of: an exact float32 scan, or faiss over 8-bit codes; both memory-mapped."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import faiss as faiss_module
import numpy as np
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals

CODES = "index.faiss"
VECTORS = "vectors.npy"

# Its stubs leave out keyword arguments and the methods that it adds in Python.
faiss: Any = faiss_module

# faiss cuts equal scores anywhere: this many more are asked for, so that ties can be cut by ordinal.
_SPARE = 32
_RECALL_TARGET = 0.95
_RECALL_AT = 100
_QUERIES = 64


class Base(Protocol):
    """The read-only rows of a bundle."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows of how many dimensions there are."""
        ...

    def search(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        """Return allowed rows and their inner products, the k best among them, in any order."""
        ...


class ExactBase:
    """A scan of float32 rows; up to 20,000 rows it is faster than 8-bit codes, and it is exact."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Keep `vectors (n, d)`."""
        # Arithmetic on the mapping's own array type costs more than on a plain view of it.
        self._vectors = vectors.view(np.ndarray)

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


class FaissBase:
    """8-bit scalar quantised rows: all of them scanned (flat), or the lists nearest to the query (IVF)."""

    def __init__(self, index: Any, rows: int, lists: int, probes: int) -> None:
        """Keep an index over ordinals below `rows`; `lists` 0 means flat, `probes`: lists to scan unless filtered."""
        self._index = index
        self._rows = rows
        self._lists = lists
        self._probes = probes

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows of how many dimensions there are."""
        return self._rows, int(self._index.d)

    def search(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        """Search; a filter widens the scan by what it leaves out, and to every list when that was not enough.

        A fixed number of lists finds nothing where everything allowed lies far from the query.
        """
        if allowed is None:
            return self._scan(query, k, self._probes, None)
        if allowed.count == 0:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        selector = faiss.IDSelectorBitmap(len(allowed.packed), faiss.swig_ptr(allowed.packed))
        probes = min(self._lists, -(-self._probes * self._rows // allowed.count))
        found = self._scan(query, k, probes, selector)
        if len(found[0]) < min(k, allowed.count) and probes < self._lists:
            found = self._scan(query, k, self._lists, selector)
        return found

    def _scan(self, query: Floats, k: int, probes: int, selector: object) -> tuple[Ordinals, Floats]:
        if self._lists:
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        scores, rows = self._index.search(query[None], min(k + _SPARE, self._rows), params=parameters)
        found = rows[0] >= 0
        return rows[0][found].astype(np.int32), scores[0][found]


def best(ordinals: Ordinals, scores: Floats, k: int) -> tuple[Ordinals, Floats]:
    """Return the k rows of the greatest scores, best first, ties by ordinal, also across the cut."""
    if len(scores) > k:
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= threshold)
        ordinals, scores = ordinals[kept], scores[kept]
    order = np.lexsort((ordinals, -scores))[:k]
    return ordinals[order], scores[order]


def write_exact(vectors: NDArray[np.float32], folder: Path) -> None:
    """Write rows for an exact scan."""
    np.save(folder / VECTORS, vectors, allow_pickle=False)


def write_flat(vectors: NDArray[np.float32], folder: Path) -> dict[str, float]:
    """Write 8-bit codes of all rows; return the recall against an exact scan."""
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / CODES))
    queries = _queries(vectors)
    return {"recall": _recall(vectors, queries, lambda k: index.search(queries, k)[1])}


def write_lists(vectors: NDArray[np.float32], live: NDArray[np.intp], folder: Path) -> dict[str, float]:
    """Write 8-bit codes of the `live` rows in about 4·√n lists; return recall, lists, and the probes it took.

    IVF: Sivic and Zisserman, Video Google, 2003; with scalar quantisation as in faiss (Douze et al., 2024).
    """
    lists = max(1, int(4 * np.sqrt(len(live))))
    dimensions = vectors.shape[1]
    quantizer = faiss.IndexFlatIP(dimensions)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dimensions, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    rows = vectors[live]
    index.train(rows)
    index.add_with_ids(rows, live.astype(np.int64))
    faiss.write_index(index, str(folder / CODES))
    queries = _queries(rows)

    def search(probes: int, k: int) -> NDArray[np.int64]:
        found: NDArray[np.int64] = index.search(queries, k, params=faiss.SearchParametersIVF(nprobe=probes))[1]
        return found

    probes = min(8, lists)
    while (recall := _recall(vectors, queries, partial(search, probes))) < _RECALL_TARGET and probes < lists:
        probes = min(2 * probes, lists)
    return {"recall": recall, "lists": lists, "probes": probes}


def _queries(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make queries like users: the sum of three rows each, `(64, d)`."""
    chance = np.random.default_rng(0)
    chosen = rows[chance.integers(0, len(rows), (_QUERIES, 3))]
    return np.ascontiguousarray(chosen.sum(axis=1, dtype=np.float32))


def _recall(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], search: Callable[[int], NDArray[np.int64]]
) -> float:
    """Return the mean part of the exact first 100 that a search finds."""
    k = min(_RECALL_AT, len(vectors))
    scores = queries @ vectors.T
    exact = np.argpartition(scores, len(vectors) - k, axis=1)[:, len(vectors) - k :]
    found = search(k)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(exact, found, strict=True)]))

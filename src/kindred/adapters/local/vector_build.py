"""Writes rows in lists: clusters from a sample, then all rows in blocks, so that memory holds their codes alone."""

from pathlib import Path
from typing import Any

import faiss as faiss_module
import numpy as np
from numpy.typing import NDArray

from kindred.adapters.local.vector_clusters import SAMPLED, Clusters
from kindred.adapters.local.vector_lists import CODES, LISTS, PROBED, SHARES, SPREADS, ListsBase, Tuning
from kindred.adapters.local.vector_tuning import tune

# Its stubs leave out keyword arguments and the methods that it adds in Python.
faiss: Any = faiss_module

_BLOCK = 65_536
_PROBED = 16
# Of long rows far apart some score high though their centre does not, and of short rows none does.
_REACH = 2.0


def write_lists(vectors: NDArray[np.float32], live: NDArray[np.intp], folder: Path) -> tuple[Tuning, dict[str, float]]:
    """Write the `live` rows of `vectors (n, d)` in about 2·√n lists; return how to search them and the recall."""
    # With twice as many, comparing the centres took longer than it spared in rows.
    lists = max(1, int(2 * np.sqrt(len(live))))
    sample = _sample(vectors, live, lists * SAMPLED)
    clusters = Clusters.train(sample, lists)
    index, noise = _empty(clusters, sample[:_BLOCK])
    squares = np.zeros(index.nlist, np.float64)
    for start in range(0, len(live), _BLOCK):
        ordinals = live[start : start + _BLOCK].astype(np.int64)
        rows = np.ascontiguousarray(vectors[ordinals], np.float32)
        assigned = clusters.assign(rows)
        index.add_core(len(rows), *(faiss.swig_ptr(each) for each in (rows, ordinals, assigned)))
        squares += np.bincount(assigned, np.square(rows - clusters.centroids[assigned]).sum(axis=1), index.nlist)
    faiss.write_index(index, str(folder / CODES))
    _write_places(index, len(vectors), folder)
    _write_spreads(index, squares, folder)
    del index
    untuned = Tuning(probes=(1,) * len(SHARES), depth=1, exact=0, patience=0.0, noise=noise, reach=_REACH)
    base = ListsBase(folder, vectors, untuned)
    measured = tune(vectors, live, base)
    return base.tuning, {**measured, "lists": float(base.lists), "probes": float(base.tuning.probes[0])}


def _sample(vectors: NDArray[np.float32], live: NDArray[np.intp], count: int) -> NDArray[np.float32]:
    chance = np.random.default_rng(0)
    chosen = live if len(live) <= count else live[chance.choice(len(live), count, replace=False)]
    return np.ascontiguousarray(vectors[chance.permutation(chosen)], np.float32)


def _empty(clusters: Clusters, sample: NDArray[np.float32]) -> tuple[Any, float]:
    """Return an index without rows, whose 8 bits span a sample's residuals, and the standard deviation of its error."""
    centroids = clusters.centroids
    quantizer = faiss.IndexFlatL2(centroids.shape[1])
    quantizer.add(centroids)
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(quantizer, *centroids.shape[::-1], kind, faiss.METRIC_INNER_PRODUCT)
    residuals = sample - centroids[clusters.assign(sample)]
    index.sq.train(residuals)
    index.is_trained = True
    errors = residuals - index.sq.decode(index.sq.compute_codes(residuals))
    return index, float(np.sqrt(np.mean(errors**2)))


def _write_places(index: Any, rows: int, folder: Path) -> None:
    """Write the list of each ordinal, one beyond the last for none, and some ordinals of each list."""
    chance = np.random.default_rng(0)
    lists = np.full(rows, index.nlist, np.min_scalar_type(index.nlist))
    probed = np.full((index.nlist, _PROBED), rows, np.int32)
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if size:
            ordinals = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
            lists[ordinals] = number
            probed[number] = ordinals[chance.integers(0, size, _PROBED)]
    np.save(folder / LISTS, lists, allow_pickle=False)
    np.save(folder / PROBED, probed, allow_pickle=False)


def _write_spreads(index: Any, squares: NDArray[np.float64], folder: Path) -> None:
    """Write by list how far its rows lie from its centre in any one direction, the standard deviation (lists,)."""
    sizes = np.array([index.invlists.list_size(number) for number in range(index.nlist)])
    spreads = np.sqrt(squares / (np.maximum(sizes, 1) * index.d)).astype(np.float32)
    np.save(folder / SPREADS, spreads, allow_pickle=False)

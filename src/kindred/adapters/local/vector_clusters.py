"""Clusters of many rows: coarse cells, each split again, so that time grows with n·√lists and not with n·lists."""

from typing import Any

import faiss as faiss_module
import numpy as np
from numpy.typing import NDArray

# Its stubs leave out keyword arguments and the methods that it adds in Python.
faiss: Any = faiss_module

SAMPLED = 96
"""Rows that k-means sees for each cluster."""
_COARSE_ROUNDS, _FINE_ROUNDS = 10, 8
_NEAREST = 3


class Clusters:
    """Two levels of k-means in Euclidean distance (hierarchical k-means: Nistér and Stewénius, Vocabulary Tree, 2006).

    Not by direction: for inner products the length of a row matters, and clusters that are small in space are small in
    score too.
    """

    def __init__(self, coarse: NDArray[np.float32], fine: list[NDArray[np.float32]]) -> None:
        """Keep the centres of the cells `coarse (t, d)` and of the clusters in each cell, `fine[t] (m, d)`."""
        self._coarse = coarse
        self._fine = fine
        self._first = np.cumsum([0, *(len(each) for each in fine)])

    @classmethod
    def train(cls, rows: NDArray[np.float32], lists: int) -> "Clusters":
        """Return about `lists` clusters of `rows (m, d)`, a sample of all."""
        cells = max(1, round(np.sqrt(lists)))
        coarse = _k_means(rows, cells, _COARSE_ROUNDS)
        cell = faiss.knn(rows, coarse, 1)[1][:, 0]
        fine = []
        for number in range(len(coarse)):
            mine = rows[cell == number]
            wanted = min(max(1, round(lists * len(mine) / len(rows))), max(len(mine), 1))
            fine.append(_k_means(mine, wanted, _FINE_ROUNDS) if len(mine) else coarse[number : number + 1])
        return cls(coarse, fine)

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Return the centres of all clusters (lists, d)."""
        return np.concatenate(self._fine)

    def assign(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the cluster of each of `rows (m, d)`: the nearest in the three nearest cells."""
        cells = faiss.knn(rows, self._coarse, min(_NEAREST, len(self._coarse)))[1]
        nearest = np.full(len(rows), np.inf, np.float32)
        found = np.zeros(len(rows), np.int64)
        for cell, centres in enumerate(self._fine):
            mine = np.flatnonzero((cells == cell).any(axis=1))
            if len(mine) == 0:
                continue
            distances, clusters = faiss.knn(rows[mine], centres, 1)
            closer = distances[:, 0] < nearest[mine]
            nearest[mine[closer]] = distances[closer, 0]
            found[mine[closer]] = self._first[cell] + clusters[closer, 0]
        return found


def _k_means(rows: NDArray[np.float32], clusters: int, rounds: int) -> NDArray[np.float32]:
    k_means = faiss.Kmeans(
        rows.shape[1], clusters, niter=rounds, seed=0, min_points_per_centroid=1, max_points_per_centroid=2 * SAMPLED
    )
    k_means.train(rows)
    centroids: NDArray[np.float32] = k_means.centroids
    return centroids

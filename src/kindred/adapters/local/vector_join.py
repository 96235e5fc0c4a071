"""The nearest others of many rows at once: products of whole blocks, where a search goes row by row."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals

_PRODUCTS = 4_000_000
"""Inner products that are held at once."""


def nearest(vectors: NDArray[np.float32], asked: Ordinals, among: Ordinals, k: int) -> Ordinals:
    """Return for each of `asked (m,)` the k best of `among (c,)`, ascending, but itself; (m, k) int32, padded with -1.

    By inner product of the rows of `vectors (n, d)`, best first, ties by ordinal.
    """
    found = np.full((len(asked), k), -1, np.int32)
    kept = min(k, len(among))
    if not kept:
        return found
    rows, block = vectors[among].astype(np.float32, copy=False).T, max(1, _PRODUCTS // len(among))
    for start in range(0, len(asked), block):
        mine = asked[start : start + block]
        scores = vectors[mine].astype(np.float32, copy=False) @ rows
        places = np.minimum(np.searchsorted(among, mine), len(among) - 1)
        own = np.flatnonzero(among[places] == mine)
        scores[own, places[own]] = -np.inf
        best = _best(scores, kept)
        values, ordinals = np.take_along_axis(scores, best, axis=1), among[best]
        order = np.lexsort((ordinals, -values), axis=1)
        ordinals[np.isneginf(values)] = -1
        found[start : start + block, :kept] = np.take_along_axis(ordinals, order, axis=1)
    return found


def _best(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the places (m, k) of the k greatest scores of each row (m, c), in any order; of equal ones the first."""
    best = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
    least = np.take_along_axis(scores, best, axis=1).min(axis=1)
    # It cuts equal scores anywhere.
    for row in np.flatnonzero(np.count_nonzero(scores >= least[:, None], axis=1) > k).tolist():
        places = np.flatnonzero(scores[row] >= least[row])
        best[row] = places[np.argsort(-scores[row, places], kind="stable")[:k]]
    return best

"""Item-item lists of a made-up shop: the nearest by factors among popular items of the same creators."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals

BLOCK = 512


def fill_lists(
    factors: Floats, popular: Ordinals, neighbours: NDArray[np.int32], similarities: NDArray[np.float32]
) -> None:
    """Write the lists of `popular (m,)` into `neighbours (n, k)` and `similarities (n, k)`, best first.

    `popular` is in an order in which similar items stand together: each block of it is a neighbourhood.
    """
    for start in range(0, len(popular), BLOCK):
        # The last one reaches back, so that none is too short for a full list.
        items = popular[max(0, min(start, len(popular) - BLOCK)) : start + BLOCK]
        rows = factors[items]
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        near = rows @ rows.T
        np.fill_diagonal(near, -1)
        k = min(neighbours.shape[1], len(items) - 1)
        best = np.argpartition(-near, k - 1, axis=1)[:, :k] if k < len(items) - 1 else np.argsort(-near, axis=1)[:, :k]
        values = np.take_along_axis(near, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
        liked = values > 0
        neighbours[items, :k] = np.where(liked, items[best], -1)
        similarities[items, :k] = np.where(liked, values, 0)

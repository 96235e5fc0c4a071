"""Finds what the most used items are nearest to by content, by joining the vector index with itself."""

import time

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.models.content import ContentConfig
from kindred.models.content_lists import ContentLists
from kindred.ports.vectors import VectorIndex

_SAMPLED = 64
_BLOCK = 65_536


def fit_content_lists(
    index: VectorIndex, vectors: Floats, users: NDArray[np.int32], config: ContentConfig
) -> tuple[ContentLists, dict[str, float]]:
    """Return the lists of the items with the most users, and what was measured: items, seconds, recall.

    `index` holds `vectors (n, d)`; `users (n,)`: how many each item has. Ties go to the lower ordinal. The recall is
    that of some of the lists, of the exact best.
    """
    started = time.perf_counter()
    items = np.sort(np.argsort(-users, kind="stable")[: config.listed]).astype(np.int32)
    lists = ContentLists(items, index.neighbours(items, config.list_length))
    seconds = time.perf_counter() - started
    return lists, {"items": float(len(items)), "seconds": round(seconds, 3), "recall": list_recall(lists, vectors)}


def list_recall(lists: ContentLists, vectors: Floats) -> float:
    """Return the mean share of the exact best that stands in some of the lists, by inner product; 1 without lists."""
    filled = np.flatnonzero(lists.neighbours[:, 0] >= 0) if lists.neighbours.shape[1] else np.empty(0, np.intp)
    if not len(filled):
        return 1.0
    rows = np.sort(np.random.default_rng(0).choice(filled, min(_SAMPLED, len(filled)), replace=False))
    least = _exact_least(vectors, lists.items[rows], (lists.neighbours[rows] >= 0).sum(axis=1))
    shares = []
    for row, edge in zip(rows.tolist(), least.tolist(), strict=True):
        near = lists.neighbours[row][lists.neighbours[row] >= 0]
        scores = vectors[near] @ vectors[lists.items[row]]
        # Equal products may be summed in another order.
        shares.append(np.count_nonzero(scores >= edge - 1e-6 * abs(edge)) / len(near))
    return round(float(np.mean(shares)), 6)


def _exact_least(vectors: Floats, items: Ordinals, lengths: NDArray[np.intp]) -> Floats:
    """Return the least inner product (m,) among the exact best others of items (m,), of each as many as it lists."""
    asked = vectors[items]
    scores = np.empty((len(items), len(vectors)), np.float32)
    for first in range(0, len(vectors), _BLOCK):
        np.matmul(asked, vectors[first : first + _BLOCK].T, out=scores[:, first : first + _BLOCK])
    scores[np.arange(len(items)), items] = -np.inf
    found = [np.partition(row, len(row) - k)[len(row) - k] for row, k in zip(scores, lengths.tolist(), strict=True)]
    return np.array(found, np.float32)

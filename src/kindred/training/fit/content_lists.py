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
_ERROR = 1e-6


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
    """Return the mean share of the exact best others, as many as a list has room for, that stand in some of the lists.

    By inner product of the rows of `vectors (n, d)`, which may lie on disk in half precision; 1 where there is nothing
    to find. Of an item without a vector nothing is.
    """
    described = np.flatnonzero(vectors[lists.items].any(axis=1))
    rows = np.sort(np.random.default_rng(0).choice(described, min(_SAMPLED, len(described)), replace=False))
    best, shares = _exact_best(vectors, lists.items[rows], lists.neighbours.shape[1]), []
    for row, products in zip(rows.tolist(), best, strict=True):
        wanted = products[products > -np.inf]
        near = lists.neighbours[row][lists.neighbours[row] >= 0]
        if len(wanted):
            scores = _wide(vectors[near]) @ _wide(vectors[lists.items[row]])
            # Equal products may be summed in another order.
            shares.append(np.count_nonzero(scores >= wanted.min() - _ERROR) / len(wanted))
    return round(float(np.mean(shares)), 6) if shares else 1.0


def _exact_best(vectors: Floats, items: Ordinals, k: int) -> Floats:
    """Return the inner products (m, k) of items (m,) with the exact best others, in any order, padded with -inf."""
    asked = _wide(vectors[items])
    best = np.full((len(items), k), -np.inf, np.float32)
    for first in range(0, len(vectors), _BLOCK):
        block = _wide(vectors[first : first + _BLOCK])
        scores = asked @ block.T
        scores[:, ~block.any(axis=1)] = -np.inf
        own = np.flatnonzero((items >= first) & (items < first + len(block)))
        scores[own, items[own] - first] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = np.partition(both, both.shape[1] - k, axis=1)[:, both.shape[1] - k :]
    return best


def _wide(vectors: Floats) -> Floats:
    """Return rows in single precision: products of half ones are rounded to three digits, and slow."""
    return vectors.astype(np.float32, copy=False)

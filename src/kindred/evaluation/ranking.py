"""Full ranking: the top k of every eligible item, seen ones left out, ties by ordinal."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation import checks
from kindred.evaluation.item_sets import ItemSets

ScoreBlock = Callable[[int, int], NDArray[np.floating]]
"""Scores of users `start` to `stop` for every item, (stop - start, n_items) float; -inf is never ranked."""


def top_k(scores: ArrayLike, k: int, excluded: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Return the k best items of each row, best first, equal scores by ordinal ascending, (b, k) int32.

    `scores (b, n) float`; `excluded (b, n)` or `(n,) bool` marks seen or ineligible items. A score of -inf is
    never ranked; a row with fewer than k items is padded with -1. Raises InvalidInput for NaN and for unequal
    shapes.
    """
    checks.at_least("k", k, 1)
    block = _blocked(scores, excluded)
    width = min(k, block.shape[1])
    out = np.full((len(block), k), -1, dtype=np.int32)
    if block.size == 0:
        return out
    chosen = _selected(block, width)
    items = np.nonzero(chosen)[1].reshape(len(block), width)
    picked = np.take_along_axis(block, items, axis=1)
    # Items stand in ordinal order here, so a stable sort leaves equal scores by ordinal.
    best = np.argsort(-picked, axis=1, kind="stable")
    ranked = np.take_along_axis(items, best, axis=1)
    out[:, :width] = np.where(np.take_along_axis(picked, best, axis=1) > -np.inf, ranked, -1)
    return out


def rank_all(
    score_block: ScoreBlock,
    seen: ItemSets,
    n_items: int,
    k: int,
    *,
    eligible: NDArray[np.bool_] | None = None,
    block_size: int = 256,
) -> NDArray[np.int32]:
    """Rank the whole catalogue for every user of `seen`, block by block, (u, k) int32, padded with -1.

    `eligible (n_items,) bool` limits the catalogue. Memory is bounded by block_size · n_items scores. The
    result does not depend on `block_size`. Raises InvalidInput when a block has the wrong shape or holds NaN.
    """
    checks.at_least("block_size", block_size, 1)
    out = np.full((seen.n_users, k), -1, dtype=np.int32)
    for start in range(0, seen.n_users, block_size):
        stop = min(start + block_size, seen.n_users)
        scores = score_block(start, stop)
        if np.shape(scores) != (stop - start, n_items):
            raise InvalidInput.at("score_block", f"gave shape {np.shape(scores)}, not {(stop - start, n_items)}")
        excluded = seen.mask(start, stop, n_items)
        if eligible is not None:
            excluded |= ~eligible
        out[start:stop] = top_k(scores, k, excluded)
    return out


def _blocked(scores: ArrayLike, excluded: NDArray[np.bool_] | None) -> NDArray[np.floating]:
    """Return the scores as floats with what is excluded at -inf."""
    array = np.asarray(scores)
    if array.ndim != 2:
        raise InvalidInput.at("scores", f"has {array.ndim} dimensions; pass (users, items)")
    floats = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    if np.isnan(floats).any():
        row, item = np.argwhere(np.isnan(floats))[0]
        raise InvalidInput.at("scores", f"is NaN at row {row}, item {item}; score unknown items -inf")
    if excluded is None:
        return floats
    if excluded.shape not in (floats.shape, floats.shape[1:]) or excluded.dtype != np.bool_:
        raise InvalidInput.at("excluded", f"is {excluded.dtype} {excluded.shape}; pass bool {floats.shape}")
    return np.where(excluded, np.asarray(-np.inf, dtype=floats.dtype), floats)


def _selected(block: NDArray[np.floating], width: int) -> NDArray[np.bool_]:
    """Mark exactly `width` items a row: all above the cutoff score, then those at it by ordinal."""
    place = block.shape[1] - width
    cutoff = np.partition(block, place, axis=1)[:, place, None]
    above = block > cutoff
    level = block == cutoff
    room = width - above.sum(axis=1, keepdims=True)
    within: NDArray[np.bool_] = np.cumsum(level, axis=1, dtype=np.int32) <= room
    chosen: NDArray[np.bool_] = above | (level & within)
    return chosen

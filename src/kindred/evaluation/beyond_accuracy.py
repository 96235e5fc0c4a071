"""What the lists are like apart from being right: coverage, novelty, diversity, cold items, popularity.

Per-user metrics are means over the list's items, (u,) float64, and NaN for an empty list.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation import checks
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.metrics import judge, lists
from kindred.evaluation.undefined import quotient

_BLOCK_CELLS = 8_000_000


def coverage(ranked: ArrayLike, n_items: int) -> float:
    """Return the share of the catalogue in at least one list; `ranked (u, k) int32`, padded with -1."""
    checks.at_least("n_items", n_items, 1)
    array = lists(ranked, n_items)
    return float(len(np.unique(array[array >= 0])) / n_items)


def novelty(ranked: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return the mean self-information of the listed items, (u,) float64, bits (Vargas and Castells, 2011).

    −log2 p(i) with p(i) = (counts[i] + 1) / (sum of counts + n_items), where `counts (n_items,) int` are
    training interactions; the added 1 (Laplace) keeps an item nobody met finite.
    """
    seen = checks.ordinals("counts", counts)
    return _list_mean(ranked, -np.log2((seen + 1) / (seen.sum() + len(seen))))


def relative_novelty(ranked: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return `novelty` as a share of that of an item nobody met, (u,) float64, 0 to 1."""
    seen = checks.ordinals("counts", counts)
    shares: NDArray[np.float64] = novelty(ranked, seen) / np.log2(max(seen.sum() + len(seen), 2))
    return shares


def serendipitous_share(
    ranked: ArrayLike, relevant: ItemSets, expected: Sequence[ArrayLike]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many hits each list has, and how many of them no primitive list shows, both (u,) int64.

    `ranked (u, k)` and each of `expected (u, m)`, padded with -1: what popularity and likeness alone would have shown;
    a hit outside them is unexpected and useful (Ge, Delgado-Battenfeld, Jannach 2010). Raises InvalidInput when the
    lists differ in number.
    """
    found = lists(ranked)
    hits = judge(found, relevant).hits
    surprising = hits.copy()
    for each in map(lists, expected):
        checks.same_length(ranked=found, expected=each)
        surprising &= ~(found[:, :, None] == each[:, None, :]).any(axis=2)
    return hits.sum(axis=1), surprising.sum(axis=1)


def popularity_percentile(ranked: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return the mean popularity percentile of the listed items, (u,) float64, 0 (least) to 1 (most popular).

    An item's percentile is the share of the catalogue with fewer interactions plus half the share with as
    many.
    """
    seen = checks.ordinals("counts", counts)
    ordered = np.sort(seen)
    below, upto = np.searchsorted(ordered, seen, "left"), np.searchsorted(ordered, seen, "right")
    return _list_mean(ranked, (below + upto) / (2 * max(len(seen), 1)))


def cold_share(ranked: ArrayLike, counts: ArrayLike, threshold: int = 10) -> NDArray[np.float64]:
    """Return the share of listed items with fewer than `threshold` training interactions, (u,) float64."""
    return _list_mean(ranked, (checks.ordinals("counts", counts) < threshold).astype(np.float64))


def unique_categories(ranked: ArrayLike, categories: ArrayLike) -> NDArray[np.float64]:
    """Return distinct categories / listed items, (u,) float64; 1 means that no two items share a category.

    `categories (n_items,) int`: each item's primary category, -1 for none; items without one add no category.
    """
    codes = checks.integers("categories", categories)
    array = lists(ranked, len(codes))
    listed = np.where(array >= 0, codes[array] if len(codes) else -1, -1)
    ordered = np.sort(listed, axis=1)
    fresh = np.diff(ordered, axis=1, prepend=-2) != 0
    distinct = (fresh & (ordered >= 0)).sum(axis=1)
    return quotient(distinct, (array >= 0).sum(axis=1))


def intra_list_diversity(ranked: ArrayLike, vectors: ArrayLike) -> NDArray[np.float64]:
    """Return 1 − mean cosine over all pairs of a list, (u,) float64, 0 to 2 (Ziegler et al., 2005).

    `vectors (n_items, d) float`, any norm. Items with the zero vector have no direction and are left out; NaN
    when fewer than two items remain. Raises InvalidInput for a vector that is not finite.
    """
    unit, known = _unit_rows(vectors)
    array = lists(ranked, len(unit))
    usable = (array >= 0) & known[array]
    out = np.full(len(array), np.nan)
    block = max(1, _BLOCK_CELLS // max(1, array.shape[1] * unit.shape[1]))
    for start in range(0, len(array), block):
        rows, kept = array[start : start + block], usable[start : start + block]
        total = (unit[rows] * kept[:, :, None]).sum(axis=1)
        size = kept.sum(axis=1)
        # |sum of unit vectors|² counts each ordered pair once, and each item with itself.
        pairs = np.square(total).sum(axis=1) - size
        out[start : start + block] = 1.0 - quotient(pairs, size * (size - 1))
    # Rounding may leave equal vectors a hair outside the range.
    clipped: NDArray[np.float64] = np.clip(out, 0.0, 2.0)
    return clipped


def _unit_rows(vectors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Normalise each vector and say which ones had a length."""
    array = np.asarray(vectors, dtype=np.float64)
    if array.ndim != 2 or len(array) == 0:
        raise InvalidInput.at("vectors", f"has shape {array.shape}; pass one row per catalogue item")
    if not np.isfinite(array).all():
        raise InvalidInput.at("vectors", "holds a value that is not finite; drop or repair the item's vector")
    norms = np.linalg.norm(array, axis=1)
    known = norms > 0
    return array / np.where(known, norms, 1.0)[:, None], known


def _list_mean(ranked: ArrayLike, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average a per-item value over each list, leaving padding out."""
    array = lists(ranked, len(values))
    listed = array >= 0
    picked = np.where(listed, values[array] if len(values) else 0.0, 0.0)
    return quotient(picked.sum(axis=1), listed.sum(axis=1))

"""Accuracy of ranked lists against sets of relevant items, one float64 per user.

Every metric is NaN for a user without relevant items: there is nothing to find, and intervals leave such
users out.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation import checks
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.undefined import quotient


class Judged(NamedTuple):
    """Ranked lists once compared with what is relevant.

    `hits (u, k) bool`: the item at that rank is relevant. `relevant (u,) int64`: size of the user's relevant
    set.
    """

    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]


def lists(ranked: ArrayLike, n_items: int | None = None) -> NDArray[np.int64]:
    """Check ranked lists, `ranked (u, k) int`, padded with -1, and return them as int64.

    Raises InvalidInput for an ordinal out of range or an item that stands twice in one list.
    """
    array = checks.integers("ranked", ranked, ndim=2)
    if array.size and array.min() < -1:
        raise InvalidInput.at("ranked", f"holds {array.min()}; pad with -1 and rank catalogue ordinals")
    if array.size and n_items is not None and array.max() >= n_items:
        raise InvalidInput.at("ranked", f"holds {array.max()} of {n_items} items; rank catalogue ordinals")
    ordered = np.sort(array, axis=1)
    repeated = np.any((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0), axis=1)
    if repeated.any():
        raise InvalidInput.at("ranked", f"row {int(np.argmax(repeated))} holds an item twice; rank distinct items")
    return array


def judge(ranked: ArrayLike, relevant: ItemSets) -> Judged:
    """Mark which ranked items are relevant; `ranked (u, k) int32`, padded with -1, rows as in `relevant`.

    Raises InvalidInput when the rows differ in number or a list repeats an item.
    """
    array = lists(ranked)
    if len(array) != relevant.n_users:
        raise InvalidInput.at("ranked", f"has {len(array)} lists for {relevant.n_users} relevant sets; align the rows")
    rows = np.repeat(np.arange(len(array)), array.shape[1])
    return Judged(relevant.contains(rows, array.ravel()).reshape(array.shape), relevant.sizes)


def recall(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return the found share of all relevant items: hits in the first k / |relevant|, (u,) float64.

    The denominator is |relevant|, not min(k, |relevant|), as in the published tables: with more than k
    relevant items even the perfect list stays under 1.
    """
    return quotient(_top(judged, k).sum(axis=1), judged.relevant)


def precision(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return hits in the first k / k, (u,) float64; a list shorter than k pays for its empty places."""
    return _defined(_top(judged, k).mean(axis=1), judged)


def hit_rate(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return 1 when any of the first k items is relevant, else 0, (u,) float64."""
    return _defined(_top(judged, k).any(axis=1).astype(np.float64), judged)


def ndcg(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return normalised discounted cumulative gain, (u,) float64 (Järvelin and Kekäläinen, 2002).

    Gains are binary, the discount of rank r is 1 / log2(r + 1), and the ideal list holds min(k, |relevant|)
    hits.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(judged.relevant, k)]
    # Summing in rank order, as the ideal does, makes the perfect list exactly 1.
    gained = np.cumsum(np.where(_top(judged, k), discounts, 0.0), axis=1)[:, -1]
    return quotient(gained, ideal)


def reciprocal_rank(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return 1 / rank of the first hit in the first k, 0 without one, (u,) float64; its mean is MRR@k."""
    top = _top(judged, k)
    return _defined(np.where(top.any(axis=1), 1.0 / (1 + np.argmax(top, axis=1)), 0.0), judged)


def average_precision(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return the mean precision at the hits in the first k, (u,) float64; its mean over users is MAP@k.

    The sum of precision at each hit is divided by min(k, |relevant|), so that the perfect list gives 1.
    """
    top = _top(judged, k)
    at_rank = np.cumsum(top, axis=1) / np.arange(1, k + 1)
    return quotient(np.where(top, at_rank, 0.0).sum(axis=1), np.minimum(judged.relevant, k))


ACCURACY: dict[str, Callable[[Judged, int], NDArray[np.float64]]] = {
    "recall": recall,
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "precision": precision,
    "mrr": reciprocal_rank,
    "map": average_precision,
}


def accuracy(ranked: ArrayLike, relevant: ItemSets, ks: Sequence[int] = (10, 20)) -> dict[str, NDArray[np.float64]]:
    """Return every accuracy metric at every cutoff, keyed `name@k`, each (u,) float64."""
    judged = judge(ranked, relevant)
    return {f"{name}@{k}": metric(judged, k) for k in ks for name, metric in ACCURACY.items()}


def _top(judged: Judged, k: int) -> NDArray[np.bool_]:
    """Return the hits of the first k ranks; raise InvalidInput when the lists are not that long."""
    checks.at_least("k", k, 1)
    if k > judged.hits.shape[1]:
        raise InvalidInput.at(
            "k", f"is {k} but the lists hold {judged.hits.shape[1]}; rank at least k items (pad by -1)"
        )
    return judged.hits[:, :k]


def _defined(values: ArrayLike, judged: Judged) -> NDArray[np.float64]:
    """Put NaN where the user has nothing relevant."""
    out: NDArray[np.float64] = np.where(judged.relevant > 0, values, np.nan)
    return out

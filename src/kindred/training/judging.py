"""From ranked lists to tables: metrics by system, and the funnel's differences to each with intervals."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.evaluation.beyond_accuracy import cold_share, coverage, intra_list_diversity, novelty
from kindred.evaluation.intervals import Bootstrap, Interval
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.metrics import hit_rate, judge, ndcg, recall
from kindred.evaluation.table import ResultTable, tabulate

CUTOFFS = (10, 20)
_ACCURACY = {"ndcg": ndcg, "recall": recall, "hit_rate": hit_rate}


class FoldLists(NamedTuple):
    """The lists of one split.

    `ranked`: system → (u, k) int32, padded with -1; `wanted`: the relevant items of the same users; `users (u,)`: who
    they are; `counts (n_items,) int64`: training rows; `vectors (n_items, d) float32`: content.
    """

    ranked: dict[str, NDArray[np.int32]]
    wanted: ItemSets
    users: NDArray[np.int64]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]


class EvaluationTables(msgspec.Struct, frozen=True, kw_only=True):
    """`metrics`: system → metric → mean with interval; `funnel_minus`: the paired difference to each other system;
    `totals`: system → figure of the whole run.
    """

    metrics: dict[str, dict[str, Interval]]
    funnel_minus: dict[str, dict[str, Interval]]
    totals: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; an undefined figure becomes None."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


def tabulated(folds: Sequence[FoldLists], funnel: str, n_listed: int, resamples: int, seed: int) -> EvaluationTables:
    """Judge all lists; a user of several splits is drawn as one; coverage is the share of the listed catalogue."""
    names = [name for name in folds[0].ranked if all(name in fold.ranked for fold in folds)]
    systems = {name: _joined([_per_user(fold, name) for fold in folds]) for name in names}
    totals = {name: {"coverage@20": _coverage(folds, name, n_listed)} for name in names}
    table: ResultTable = tabulate(
        systems,
        funnel,
        users=np.concatenate([fold.users for fold in folds]),
        totals=totals,
        bootstrap=Bootstrap(resamples=resamples, seed=seed),
    )
    reversed_sign = {
        name: {metric: _negated(interval) for metric, interval in metrics.items()}
        for name, metrics in table.differences.items()
    }
    return EvaluationTables(metrics=table.rows, funnel_minus=reversed_sign, totals=totals)


def _per_user(fold: FoldLists, name: str) -> dict[str, NDArray[np.float64]]:
    """Return every metric of one system in one split, (u,) float64 each."""
    ranked = fold.ranked[name]
    judged = judge(ranked, fold.wanted)
    found = {f"{metric}@{k}": measure(judged, k) for k in CUTOFFS for metric, measure in _ACCURACY.items()}
    return {
        **found,
        "novelty": novelty(ranked, fold.counts),
        "diversity": intra_list_diversity(ranked, fold.vectors),
        "cold_share": cold_share(ranked, fold.counts),
    }


def _joined(parts: Sequence[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def _coverage(folds: Sequence[FoldLists], name: str, n_listed: int) -> float:
    stacked = np.concatenate([fold.ranked[name].ravel() for fold in folds])
    n_items = len(folds[0].counts)
    return coverage(stacked[None, _firsts(stacked)], n_items) * n_items / max(n_listed, 1)


def _firsts(values: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return where each distinct value stands first; a list may hold an item once."""
    return np.unique(values, return_index=True)[1]


def _negated(interval: Interval) -> Interval:
    return Interval(-interval.mean, -interval.high, -interval.low, interval.users)

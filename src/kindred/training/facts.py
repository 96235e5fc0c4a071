"""What of a training run's data and lists stands in its record, for the model card."""

import numpy as np
from numpy.typing import NDArray

from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.metrics import judge, ndcg
from kindred.evaluation.segments import COLD, by_activity, by_popularity
from kindred.training.dataset import Dataset
from kindred.training.records import Figure


def data_facts(dataset: Dataset) -> dict[str, float]:
    """Return shares of the data that limit what can be learned from it, 0 to 1, and the number of listed items."""
    rows, listed = dataset.interactions, dataset.listed()
    counts = np.bincount(rows.items[rows.items >= 0], minlength=dataset.n_items)[listed]
    mine = np.bincount(rows.users, minlength=dataset.n_users)
    mine = mine[mine > 0]
    found = {
        "listed_items": float(listed.sum()),
        "untouched_items": _share(counts == 0),
        "cold_items": _share(counts < COLD),
        "users_with_one_interaction": _share(mine == 1),
        "largest_user": float(mine.max() / mine.sum()) if len(mine) else 0.0,
        "rows_without_time": _share(rows.timestamps < 0),
    }
    return {name: round(value, 6) for name, value in found.items()}


def segments(
    ranked: NDArray[np.int32], wanted: ItemSets, train: Dataset, users: NDArray[np.int64]
) -> dict[str, dict[str, Figure]]:
    """Return metrics of the lists `ranked (u, k)` of `users (u,)` by segment, from what came before in `train`."""
    k, rows = ranked.shape[1], train.interactions
    counts = np.bincount(rows.items[rows.items >= 0], minlength=train.n_items)
    history = np.bincount(rows.users, minlength=train.n_users)[users]
    found = {
        f"ndcg@{k} by a user's interactions": by_activity(ndcg(judge(ranked, wanted), k), history),
        f"recall@{k} by an item's popularity": by_popularity(ranked, wanted, counts),
    }
    return {
        title: {name: Figure.of(interval) for name, interval in parts.items()}
        for title, parts in found.items()
        if parts
    }


def _share(which: NDArray[np.bool_]) -> float:
    return float(which.mean()) if len(which) else 0.0

"""Full rankings on datasets of fixed splits: pairs as a fit takes them, and the best items of each user."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kindred.evaluation.intervals import Interval, mean_interval
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.metrics import judge, ndcg, recall
from kindred.evaluation.ranking import rank_all
from kindred.models.preference import Interactions, PreferenceConfig, preferences
from kindred.models.protocol import Retriever
from kindred.training.fit.inputs import FitInput
from kindred.training.solo import histories

DEPTH = 20
METRICS = {f"recall@{DEPTH}": recall, f"ndcg@{DEPTH}": ndcg}
PerUser = dict[str, NDArray[np.float64]]


def read_pairs(place: Path) -> NDArray[np.int64]:
    """Return the distinct (user, item) pairs of a file, sorted, (n, 2) int64."""
    return pl.read_parquet(place, columns=["user_id", "item_id"]).unique().sort("user_id", "item_id").to_numpy()


def timeless(
    users: NDArray[np.int64], items: NDArray[np.int64], codes: NDArray[np.int16], names: tuple[str, ...]
) -> Interactions:
    """Return events without time or value, all (n,)."""
    times, values = np.full(len(users), -1, np.int64), np.full(len(users), np.nan, np.float32)
    return Interactions(users.astype(np.int32), items.astype(np.int32), times, codes, values, names)


def fit_input(rows: Interactions, n_users: int, n_items: int, weights: PreferenceConfig, threads: int = 1) -> FitInput:
    """Return what models are fitted on when events count `weights`."""
    return FitInput(preferences(rows, 0, weights), rows, n_users, n_items, as_of=0, threads=threads)


def ranked(model: Retriever, data: FitInput, users: NDArray[np.int64], seen: ItemSets) -> NDArray[np.int32]:
    """Return the best items of each of `users (u,)`, what they have `seen` left out, (u, 20) int32 padded with -1."""

    def block(start: int, stop: int) -> NDArray[np.floating]:
        scores = np.full((stop - start, data.n_items), -np.inf, np.float32)
        for row, history in enumerate(histories(data, users[start:stop])):
            items, values = model.spread(history)
            scores[row, items] = values
        return scores

    return rank_all(block, seen, data.n_items, DEPTH)


def judged(lists: NDArray[np.int32], relevant: ItemSets) -> PerUser:
    """Return each metric by user; NaN for users without anything to find."""
    found = judge(lists, relevant)
    return {name: metric(found, DEPTH) for name, metric in METRICS.items()}


def means(found: PerUser) -> dict[str, Interval]:
    """Return each metric's mean over users with its interval."""
    return {name: mean_interval(values) for name, values in found.items()}

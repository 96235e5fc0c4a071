"""Metrics by segment: how active users are, and how popular what they were looking for is."""

import numpy as np
from numpy.typing import NDArray

from kindred.evaluation.intervals import Bootstrap, Interval, mean_interval
from kindred.evaluation.item_sets import ItemSets, from_pairs
from kindred.evaluation.metrics import judge, recall

ACTIVITY = {"1 to 4": (1, 5), "5 to 19": (5, 20), "20 to 99": (20, 100), "100 and more": (100, np.inf)}
"""Interactions of a user: from, up to and without."""
COLD = 10
"""An item with fewer interactions is cold."""


def by_activity(
    values: NDArray[np.float64], interactions: NDArray[np.int64], bootstrap: Bootstrap | None = None
) -> dict[str, Interval]:
    """Return the mean of `values (u,)` among users by their number of `interactions (u,)`, empty segments left out."""
    found = {}
    for name, (least, most) in ACTIVITY.items():
        inside = (interactions >= least) & (interactions < most)
        if inside.any():
            found[name] = mean_interval(values[inside], bootstrap=bootstrap)
    return found


def popularity_bands(counts: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Part items (n,) by their interactions `counts (n,)`: each item is in one band.

    `head`: the fewest items that hold half of all interactions. `cold`: not of the head, with fewer than ten. `middle`:
    the others.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    head = np.zeros(len(counts), np.bool_)
    head[order] = (before < counts.sum() / 2) & (counts[order] > 0)
    cold = (counts < COLD) & ~head
    return {"head": head, "middle": ~head & ~cold, "cold": cold}


def by_popularity(
    ranked: NDArray[np.int32],
    wanted: ItemSets,
    counts: NDArray[np.int64],
    bootstrap: Bootstrap | None = None,
) -> dict[str, Interval]:
    """Return by band the share of wanted items of that band which the lists `ranked (u, k)` hold, mean over users.

    Users who wanted nothing of a band are left out of it; bands that nobody wanted are left out.
    """
    found = {}
    for name, band in popularity_bands(counts).items():
        kept = band[wanted.indices]
        if kept.any():
            inside = from_pairs(wanted.owners()[kept], wanted.indices[kept], wanted.n_users)
            values = recall(judge(ranked, inside), ranked.shape[1])
            found[name] = mean_interval(values, bootstrap=bootstrap)
    return found

"""What is new: rows behind a position, and no more of them from one user than the rule allows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.bundle import DataWindow
from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.models.arrays import known
from kindred.models.preference import Interactions, PreferenceConfig, Preferences, preferences
from kindred.training.config import IncrementConfig
from kindred.training.dataset import Dataset


class Fresh(NamedTuple):
    """What an increment may learn from.

    `kept (n,) bool`: rows of the dataset that count, all but what was trimmed; `new (n,) bool`: those behind the active
    bundle; `since_base (n,) bool`: those behind its base. `heavy`: users who were trimmed, by number; `share`: the
    largest part of what is new since the base that a user with more than `user_rows` items made, before trimming and
    after.
    """

    kept: Mask
    new: Mask
    since_base: Mask
    heavy: Ordinals
    share_before: float
    share: float


def rows_behind(dataset: Dataset, window: DataWindow) -> Mask:
    """Return which rows (n,) a bundle of that window has not seen: by position where rows have one, else by time."""
    if dataset.behind is not None and window.position is not None:
        return dataset.behind(window.position)
    last = -1 if window.last is None else window.last
    return np.asarray(dataset.interactions.timestamps > last, np.bool_)


def find_fresh(
    dataset: Dataset,
    active: DataWindow,
    base: DataWindow,
    as_of: int,
    config: IncrementConfig,
    preference: PreferenceConfig,
) -> Fresh:
    """Find the new rows, and trim users who make too much of what is new since the base.

    Counted since the base and not since the last increment, so that many small pushes weigh as one large one.
    """
    since_base = rows_behind(dataset, base)
    kept, heavy, before, after = _trimmed(dataset.interactions, since_base, as_of, config, preference)
    new = rows_behind(dataset, active) & kept & known(dataset.interactions.items, dataset.n_items)
    return Fresh(kept, new, since_base, heavy, before, after)


def _trimmed(
    rows: Interactions, since_base: Mask, as_of: int, config: IncrementConfig, preference: PreferenceConfig
) -> tuple[Mask, Ordinals, float, float]:
    """Return the rows that stay (n,), the users who were trimmed, and the largest share before and after."""
    kept = np.ones(len(rows), np.bool_)
    pairs = preferences(rows.take(since_base), as_of, preference)
    if not len(pairs):
        return kept, np.empty(0, np.int32), 0.0, 0.0
    users, owner, sizes = np.unique(pairs.users, return_inverse=True, return_counts=True)
    weights = np.bincount(owner, pairs.confidence, len(users)).astype(np.float64)
    left, before = sizes.copy(), _largest(weights, sizes > config.user_rows)
    if config.heavy_users == "trim":
        _trim(pairs, owner, weights, left, config)
    for number in np.flatnonzero(left < sizes).tolist():
        newest = _newest(pairs, owner, number)
        gone = pairs.items[newest[left[number] :]]
        kept &= ~((rows.users == users[number]) & since_base & np.isin(rows.items, gone))
    return kept, users[left < sizes].astype(np.int32), before, _largest(weights, left > config.user_rows)


def _trim(
    pairs: Preferences,
    owner: NDArray[np.intp],
    weights: NDArray[np.float64],
    left: NDArray[np.int64],
    config: IncrementConfig,
) -> None:
    """Lower `weights (u,)` and how many of their newest items are `left (u,)` to users until nobody makes too much.

    What one user loses makes the shares of the others larger, so it is looked at again.
    """
    while True:
        total = float(weights.sum())
        heavy = np.flatnonzero((left > config.user_rows) & (weights > config.user_share * total))
        if not len(heavy):
            return
        others = total - float(weights[heavy].sum())
        for number in heavy.tolist():
            newest = _newest(pairs, owner, number)
            # One at least goes, or rounding could keep this going for ever.
            fits = min(_fitting(pairs.confidence[newest], others, config), int(left[number]) - 1)
            left[number], weights[number] = fits, float(pairs.confidence[newest[:fits]].sum(dtype=np.float64))


def _newest(pairs: Preferences, owner: NDArray[np.intp], number: int) -> NDArray[np.intp]:
    mine = np.flatnonzero(owner == number)
    return mine[np.argsort(-pairs.timestamps[mine], kind="stable")]


def _fitting(confidence: Floats, others: float, config: IncrementConfig) -> int:
    """Return how many of a user's newest items stay below their share beside what `others` make."""
    share = config.user_share
    room = np.inf if share >= 1 else share / (1 - share) * others
    within = int(np.searchsorted(np.cumsum(confidence, dtype=np.float64), room, side="right"))
    return max(within, config.user_rows)


def _largest(weights: NDArray[np.float64], counted: Mask) -> float:
    total = float(weights.sum())
    return float(weights[counted].max(initial=0.0)) / total if total > 0 else 0.0

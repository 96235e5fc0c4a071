"""Trending: an item's activity in a window against its own baseline, live and in training by the same functions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.models.arrays import known, load_array, load_json, save_array, save_json, top_k
from kindred.models.layers import Folder

HOUR = 3_600_000
WINDOWS = {"1h": 1, "24h": 24, "7d": 168}


class TrendingConfig(Config, frozen=True, kw_only=True):
    """What counts as a rise.

    `baseline_hours`: how far back, before the window, an item's own rate is measured. `prior`: events added to the
    expected number, so that three views of an unknown item are no trend. `min_count`: fewer events in an
    hour or a day never trend. `min_count_week`: fewer in a week never do; a young site has little more.
    """

    baseline_hours: int = 28 * 24
    prior: float = 5.0
    min_count: int = 3
    min_count_week: int = 1


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    as_of: int
    config: TrendingConfig


def window_hours(window: str) -> int:
    """Return the hours of `1h`, `24h` or `7d`; raise InvalidInput for another window."""
    if window not in WINDOWS:
        raise InvalidInput.at("/window", f"is {window!r}, known are {', '.join(WINDOWS)}")
    return WINDOWS[window]


def trending_scores(
    current: ArrayLike, baseline: ArrayLike, hours: int, baseline_hours: ArrayLike, config: TrendingConfig
) -> Floats:
    """Return how surprising each item's activity is (n,) float32: `(c - e) / sqrt(e + prior)`, never below 0.

    `current (n,)`: events c in the last `hours`; `baseline (n,)`: events in the `baseline_hours` before those (one
    number, or one per item where it is younger); `e = baseline * hours / baseline_hours`. This is the Pearson residual
    of a Poisson rate (McCullagh and Nelder 1989, section 2.4), shrunk by the prior: a steady item scores 0
    however popular it is. An item with fewer events than the window asks for scores 0.
    """
    counts = np.asarray(current, np.float64)
    expected = np.asarray(baseline, np.float64) * hours / np.maximum(np.asarray(baseline_hours, np.float64), 1.0)
    rise = (counts - expected) / np.sqrt(expected + config.prior)
    least = config.min_count_week if hours >= WINDOWS["7d"] else config.min_count
    return np.where(counts >= least, np.maximum(rise, 0.0), 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class TrendingModel:
    """Trend scores of every ordinal when the bundle was made.

    `scores (3, n) float32`, rows in the order of `WINDOWS`; `as_of`: ms since 1970 UTC.
    """

    scores: Floats
    as_of: int
    config: TrendingConfig

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return int(self.scores.shape[1])

    def top(self, window: str, k: int, allowed: Mask | None = None) -> tuple[Ordinals, Floats]:
        """Return the k most trending ordinals and scores, best first; `allowed (n,) bool` restricts them."""
        row = self.scores[_row(window)]
        best = top_k(row if allowed is None else np.where(allowed, row, np.float32(0)), k)
        return best.astype(np.int32), row[best]

    def score_candidates(self, window: str, candidates: Ordinals) -> Floats:
        """Return the trend of each candidate (c,) float32; 0 for items newer than the model."""
        row = self.scores[_row(window)]
        found = np.zeros(len(candidates), np.float32)
        covered = known(candidates, self.n_items)
        found[covered] = row[candidates[covered]]
        return found

    def save(self, folder: Path) -> None:
        """Write the scores into `folder`."""
        self.save_meta(folder, self.n_items)
        # Item by item, so that a delta can replace those of some.
        save_array(folder, "trend_scores", self.scores.T, room=True)

    def save_meta(self, folder: Path, n_items: int) -> None:
        """Write the small facts into `folder`, for arrays over `n_items` ordinals."""
        save_json(folder, "trending", _Meta(n_items, self.as_of, self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the scores read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "trending", _Meta)
        scores = load_array(folder, "trend_scores", np.float32, (meta.n_items, len(WINDOWS)))
        return cls(scores.T, meta.as_of, meta.config)


def fit_trending(
    users: Ordinals,
    items: Ordinals,
    timestamps: NDArray[np.int64],
    n_items: int,
    as_of: int,
    config: TrendingConfig | None = None,
) -> TrendingModel:
    """Score every window from interaction columns (m,), timestamps in ms; rows after `as_of` are left out.

    A user counts once per item and hour. The baseline ends where the window begins, and starts at the item's first
    row where that is younger than `baseline_hours`, at the earliest one window before.
    """
    config = config or TrendingConfig()
    hours_back = (as_of - timestamps) // HOUR
    horizon = max(WINDOWS.values()) + config.baseline_hours
    kept = known(items, n_items) & (timestamps <= as_of) & (hours_back < horizon)
    ages, which = _once_per_hour(hours_back[kept], items[kept], users[kept])
    oldest = np.zeros(n_items, np.int64)
    np.maximum.at(oldest, which, ages)
    scores = np.zeros((len(WINDOWS), n_items), np.float32)
    for row, hours in enumerate(WINDOWS.values()):
        current = np.bincount(which[ages < hours], minlength=n_items)
        inside = (ages >= hours) & (ages < hours + config.baseline_hours)
        baseline = np.bincount(which[inside], minlength=n_items)
        lived = np.clip(oldest - hours + 1, min(hours, config.baseline_hours), config.baseline_hours)
        scores[row] = trending_scores(current, baseline, hours, lived, config)
    return TrendingModel(scores, as_of, config)


def _row(window: str) -> int:
    """Return the row of a window in the scores; raise InvalidInput for another one."""
    return list(WINDOWS.values()).index(window_hours(window))


def _once_per_hour(ages: NDArray[np.int64], items: Ordinals, users: Ordinals) -> tuple[NDArray[np.int64], Ordinals]:
    """Return the ages and items of distinct (hour, item, user) rows."""
    order = np.lexsort((users, items, ages))
    ages, items, users = ages[order], items[order], users[order]
    first = np.ones(len(ages), np.bool_)
    first[1:] = (ages[1:] != ages[:-1]) | (items[1:] != items[:-1]) | (users[1:] != users[:-1])
    return ages[first], items[first]

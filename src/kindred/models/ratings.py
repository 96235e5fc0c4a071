"""Average ratings, smoothed towards the mean of all."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from kindred.core.candidates import Floats
from kindred.core.config import Config
from kindred.models.arrays import known, load_array, load_json, save_array, save_json
from kindred.models.layers import Folder
from kindred.models.preference import Interactions


class RatingsConfig(Config, frozen=True, kw_only=True):
    """How averages are smoothed.

    `prior`: ratings of average value that every item is given beforehand.
    """

    prior: float = 5.0


class _Meta(msgspec.Struct):
    n_items: int
    mean: float
    config: RatingsConfig


@dataclass(frozen=True, slots=True)
class RatingsModel:
    """Smoothed averages (n,) float32 on the scale of the ratings, NaN for items that nobody rated."""

    averages: Floats
    mean: float
    config: RatingsConfig

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.averages)

    def save(self, folder: Path) -> None:
        """Write the array into `folder`."""
        self.save_meta(folder, self.n_items)
        save_array(folder, "averages", self.averages, room=True)

    def save_meta(self, folder: Path, n_items: int) -> None:
        """Write the small facts into `folder`, for arrays over `n_items` ordinals."""
        save_json(folder, "ratings", _Meta(n_items, self.mean, self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the array read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "ratings", _Meta)
        return cls(load_array(folder, "averages", np.float32, (meta.n_items,), math.nan), meta.mean, meta.config)


def fit_ratings(
    interactions: Interactions, n_items: int, config: RatingsConfig | None = None, mean: float | None = None
) -> RatingsModel:
    """Average the ratings of each item: `(prior * mean + sum) / (prior + count)` over rating events with a value.

    `mean`: what averages are drawn to, where it is not that of these ratings.
    """
    config = config or RatingsConfig()
    code = interactions.names.index("rating") if "rating" in interactions.names else -1
    rated = (interactions.event_types == code) & np.isfinite(interactions.values)
    rows = interactions.take(rated & known(interactions.items, n_items))
    counts = np.bincount(rows.items, minlength=n_items)
    sums = np.bincount(rows.items, rows.values.astype(np.float64), n_items)
    if mean is None:
        mean = float(rows.values.mean()) if len(rows) else 0.0
    averages = (config.prior * mean + sums) / np.maximum(config.prior + counts, 1e-9)
    return RatingsModel(np.where(counts > 0, averages, np.nan).astype(np.float32), mean, config)

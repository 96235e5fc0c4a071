"""Seasons: which items, after months of silence, are due again, since their past years peaked in the month to come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.clock import DAY
from kindred.models.arrays import (
    check_ordinals,
    known,
    load_array,
    load_json,
    load_offsets,
    save_array,
    save_json,
    top_k,
)
from kindred.models.layers import Folder

MONTHS = 12
TOP = 200
"""Items that are kept of each month, so that the size does not depend on the catalogue."""
AHEAD = 14 * DAY
"""So long (ms) before a month begins its items are due."""
OLD = 180 * DAY
"""Rows younger than this (ms) are no past season but the present one, which trending knows."""
YEAR = 300 * DAY
"""Data that began later than so long (ms) ago knows no season: there is no other month to compare with."""
_PRIOR = 5.0


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int


@dataclass(frozen=True, slots=True)
class SeasonModel:
    """Items of each month of the year: `items[offsets[m]:offsets[m + 1]]` of month m from 0, best first; scores > 0."""

    offsets: NDArray[np.int64]
    items: Ordinals
    scores: Floats
    n_items: int

    @classmethod
    def none(cls, n_items: int = 0) -> Self:
        """Return a model in which nothing has a season."""
        return cls(np.zeros(MONTHS + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), n_items)

    def due(self, now: int) -> tuple[Ordinals, Floats]:
        """Return the items (n,) of this month and, in its second half, of the next (ms, UTC), with scores."""
        months = np.unique(month_numbers(np.array([now, now + AHEAD])) % MONTHS).tolist()
        parts = [slice(int(self.offsets[month]), int(self.offsets[month + 1])) for month in months]
        items = np.concatenate([self.items[part] for part in parts])
        scores = np.concatenate([self.scores[part] for part in parts])
        found, first = np.unique(items, return_inverse=True)
        best = np.zeros(len(found), np.float32)
        np.maximum.at(best, first, scores)
        return found, best

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`."""
        save_json(folder, "season", _Meta(self.n_items))
        for name in ("offsets", "items", "scores"):
            save_array(folder, name, getattr(self, name))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "season", _Meta)
        items = load_array(folder, "items", np.int32, (None,))
        check_ordinals(folder, "items", items, meta.n_items)
        scores = load_array(folder, "scores", np.float32, (len(items),))
        return cls(load_offsets(folder, "offsets", MONTHS, len(items)), items, scores, meta.n_items)


def fit_season(
    users: Ordinals, items: Ordinals, timestamps: NDArray[np.int64], n_items: int, as_of: int
) -> SeasonModel:
    """Find the items of each month from interaction columns (m,), timestamps in ms; rows after `as_of` are left out.

    A user counts once per item and month. Of c in the months of that name, y of them half a year old or more, and b
    in the z other months since the data began: `(c - e) / sqrt(e + 5)` with `e = y * b / z`, the residual by which
    trends are found too. Data of less than 300 days knows no season.
    """
    kept = known(items, n_items) & (timestamps >= 0) & (timestamps <= as_of)
    items, months = items[kept], month_numbers(timestamps[kept])
    if not len(months) or as_of - int(timestamps[kept].min()) < YEAR:
        return SeasonModel.none(n_items)
    triples = np.unique(np.stack([months, items.astype(np.int64), users[kept].astype(np.int64)], axis=1), axis=0)
    months, which = triples[:, 0], triples[:, 1]
    observed = np.arange(int(months.min()), int(month_numbers(np.array([as_of]))[0]) + 1)
    old = int(month_numbers(np.array([as_of - OLD]))[0])
    everything = np.bincount(which, minlength=n_items).astype(np.float64)
    lists, values = [], []
    for month in range(MONTHS):
        past = (months % MONTHS == month) & (months <= old)
        count = np.bincount(which[past], minlength=n_items)
        years = int(((observed % MONTHS == month) & (observed <= old)).sum())
        expected = (everything - count) * years / max(len(observed) - years, 1)
        scores = np.where(count > 0, (count - expected) / np.sqrt(expected + _PRIOR), 0).astype(np.float32)
        best = top_k(scores, TOP)
        lists.append(best.astype(np.int32))
        values.append(scores[best])
    offsets = np.cumsum([0, *(len(one) for one in lists)], dtype=np.int64)
    return SeasonModel(offsets, np.concatenate(lists), np.concatenate(values), n_items)


def month_numbers(timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the months (n,) since January 1970, UTC, of times in ms."""
    return timestamps.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)

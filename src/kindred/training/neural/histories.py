"""What every user did, in order, as neural models learn it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.models.arrays import known
from kindred.training.fit.inputs import FitInput


@dataclass(frozen=True, slots=True)
class Histories:
    """One row per (user, item) with an opinion, by user, oldest first.

    User u has rows `offsets[u]` to `offsets[u + 1]`. `items (m,) int32`, `confidence (m,) float32`, `positive (m,)
    bool`, `timestamps (m,) int64` ms of the latest event, -1 unknown; `event_types (m,) int64`: that event's type, its
    code + 1 into the names of the interactions.
    """

    offsets: NDArray[np.int64]
    items: Ordinals
    confidence: Floats
    positive: Mask
    timestamps: NDArray[np.int64]
    event_types: NDArray[np.int64]

    def __len__(self) -> int:
        """Return m."""
        return len(self.items)


def histories(data: FitInput) -> Histories:
    """Put each user's preferences in the order of their latest event; equal and unknown times keep that of arrival."""
    liked = data.preferences.take(known(data.preferences.items, data.n_items))
    rows = data.interactions
    arrival, codes = np.zeros(len(liked), np.int64), np.zeros(len(liked), np.int64)
    if len(liked):
        pairs = liked.users.astype(np.int64) * data.n_items + liked.items
        theirs = rows.users.astype(np.int64) * data.n_items + rows.items
        place = np.minimum(np.searchsorted(pairs, theirs), len(pairs) - 1)
        # In the order of time, so that of one pair's rows the latest is written last.
        order = np.flatnonzero((pairs[place] == theirs) & (rows.items >= 0))
        order = order[np.argsort(rows.timestamps[order], kind="stable")]
        arrival[place[order]] = order
        codes[place[order]] = rows.event_types[order] + 1
    order = np.lexsort((arrival, liked.timestamps, liked.users))
    sizes = np.bincount(liked.users, minlength=data.n_users)
    return Histories(
        np.concatenate(([0], np.cumsum(sizes))),
        liked.items[order],
        liked.confidence[order],
        liked.positive[order],
        liked.timestamps[order],
        codes[order],
    )

"""Examples for the two towers: a history up to a moment, and the item that was liked next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.models.two_tower import TowerInputs, tower_inputs
from kindred.training.neural.histories import Histories

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Examples:
    """Which rows of histories are learnt as next items, and which are held out to judge by.

    `train (m,)`, `held (v,)`: rows, `held` with one a user at most; `length`: latest items that are read.
    """

    histories: Histories
    train: Rows
    held: Rows
    length: int

    def inputs(self, rows: Rows) -> TowerInputs:
        """Return what the user tower reads of the histories before `rows (b,)`, newest first."""
        past = self.histories
        starts = past.offsets[np.searchsorted(past.offsets, rows, side="right") - 1]
        width = max(1, min(self.length, int((rows - starts).max(initial=0))))
        place = rows[:, None] - 1 - np.arange(width)
        present = place >= starts[:, None]
        place = np.where(present, place, 0)
        return tower_inputs(
            past.items[place],
            past.confidence[place],
            past.positive[place],
            present,
            past.timestamps[place],
            past.event_types[place],
            past.timestamps[rows],
        )


def examples(past: Histories, length: int, held_users: int, rng: np.random.Generator) -> Examples:
    """Choose the rows: all that are liked after something liked, less the latest such of some users, held out."""
    before = np.concatenate(([0], np.cumsum(past.positive)))
    starts = np.repeat(past.offsets[:-1], np.diff(past.offsets))
    rows = np.flatnonzero(past.positive & (before[:-1] > before[starts]))
    users = np.searchsorted(past.offsets, rows, side="right") - 1
    latest = np.flatnonzero(np.append(users[1:] != users[:-1], True)) if len(rows) else np.empty(0, np.int64)
    chosen = latest[rng.permutation(len(latest))[: min(held_users, len(latest) // 5)]]
    train = np.ones(len(rows), np.bool_)
    train[chosen] = False
    return Examples(past, rows[train], np.sort(rows[chosen]), length)

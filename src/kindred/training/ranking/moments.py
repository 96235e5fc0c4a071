"""Past requests: who asked when, and what came of it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.models.arrays import values_at
from kindred.models.preference import Interactions
from kindred.training.config import RelevanceConfig
from kindred.training.relevance import relevant_rows


class Moments(NamedTuple):
    """Requests, one per user: `users (q,) int64` ascending, `times (q,) int64` ms, `rows (q,)`: the visit's first."""

    users: NDArray[np.int64]
    times: NDArray[np.int64]
    rows: NDArray[np.intp]


class After(NamedTuple):
    """What came of n items: `labels (n, e)` by event type, `weights (n,) float32` of those labels, `relevant (n,)`:
    the item was wanted; and `wanted`: all items that were, ascending, among the n or not.
    """

    labels: Mask
    weights: Floats
    relevant: Mask
    wanted: Ordinals


def visits(rows: Interactions, gap: float) -> tuple[NDArray[np.int64], ...]:
    """Return users (v,), begins (v,) ms, numbers (v,) from 0 and first rows (v,) of visits: at most `gap` s between."""
    order = np.lexsort((rows.timestamps, rows.users))
    order = order[rows.timestamps[order] >= 0]
    users, times = rows.users[order].astype(np.int64), rows.timestamps[order]
    same = users[1:] == users[:-1]
    begins = np.flatnonzero(np.concatenate(([True], ~same | (np.diff(times) > gap * 1_000)))[: len(users)])
    users, times = users[begins], times[begins]
    first = np.searchsorted(users, users)
    return users, times, np.arange(len(users)) - first, order[begins]


def moments_of(future: Interactions, gap: float, number: int, most: int, seed: int) -> Moments:
    """Return the moments right before each user's visit `number` (from 0) of `future`, of at most `most` users."""
    users, begins, numbers, rows = visits(future, gap)
    chosen = np.flatnonzero(numbers == number)
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng([seed, number]).choice(chosen, most, replace=False))
    return Moments(users[chosen], begins[chosen] - 1, rows[chosen])


class Outcomes:
    """What users did after any moment: by item, which types of events, and whether they wanted it."""

    def __init__(
        self,
        rows: Interactions,
        relevance: RelevanceConfig,
        values: Mapping[str, float],
        examined: Floats | None = None,
    ) -> None:
        """Sort the timed rows of known items by user; only event types with a value are labels.

        `examined (s,)`: how likely each slot of a slate is looked at. What was found in a slot counts its inverse
        (inverse propensity weighting: Joachims, Swaminathan, Schnabel 2017).
        """
        self._examined = examined
        timed = rows.take((rows.timestamps >= 0) & (rows.items >= 0))
        self._rows = timed.take(np.lexsort((timed.timestamps, timed.users)))
        self.events = tuple(sorted(name for name in rows.names if values.get(name, 0) > 0))
        numbers = {name: number for number, name in enumerate(self.events)}
        self._numbers = np.array([numbers.get(name, -1) for name in rows.names] or [-1], np.int64)
        self._wanted = relevant_rows(self._rows, relevance)
        rating = np.array([name == "rating" for name in rows.names] or [False], np.bool_)
        # A bad rating is nothing that a ranker should bring about.
        self._good = ~rating[self._rows.event_types] | (self._rows.values >= relevance.min_rating)

    def after(self, user: int, moment: int, horizon: int, items: Ordinals) -> After:
        """Return what came of `items (n,)` within `horizon` ms."""
        rows = self._rows
        low, high = np.searchsorted(rows.users, [user, user + 1])
        first, last = low + np.searchsorted(rows.timestamps[low:high], [moment, moment + horizon], side="right")
        done, wanted = rows.items[first:last], self._wanted[first:last]
        kinds = np.where(self._good[first:last], self._numbers[rows.event_types[first:last]], -1)
        labels = (
            np.stack([np.isin(items, done[kinds == number]) for number in range(len(self.events))], axis=1)
            if self.events
            else np.zeros((len(items), 0), np.bool_)
        )
        weights = self._weights(done[kinds >= 0], slice(first, last), kinds >= 0, items)
        return After(labels, weights, np.isin(items, done[wanted]), np.unique(done[wanted]))

    def _weights(self, done: Ordinals, rows: slice, counts: Mask, items: Ordinals) -> Floats:
        """Return how much the label of each of `items` counts (n,), by the slot of what was `done` first."""
        slots = self._rows.slots
        if slots is None or self._examined is None:
            return np.ones(len(items), np.float32)
        known, place = np.unique(done, return_index=True)
        seen = slots[rows][counts][place]
        shares = self._examined[np.clip(seen, 0, len(self._examined) - 1)]
        found = values_at(known, np.where(seen >= 0, 1 / shares, 1).astype(np.float32), items)
        return np.where(found > 0, found, np.float32(1))

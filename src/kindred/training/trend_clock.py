"""Trend lists as they stood at any moment of the training data."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.clock import HOUR
from kindred.models.preference import Interactions
from kindred.models.trending import WINDOWS, TrendingConfig, fit_trending

LONGEST = 5_000


class TrendClock:
    """Computes the lists of every window from the rows that lie before a moment; one answer per hour is kept."""

    def __init__(self, rows: Interactions, n_items: int, config: TrendingConfig) -> None:
        """Sort the timed rows once."""
        timed = rows.take(rows.timestamps >= 0)
        self._rows = timed.take(np.argsort(timed.timestamps, kind="stable"))
        self._n_items = n_items
        self._config = config
        self._hour = -1
        self._lists: dict[str, tuple[Ordinals, Floats]] = {}

    def at(self, now: int) -> dict[str, tuple[Ordinals, Floats]]:
        """Return window → (ordinals, scores), best first, as of the hour of `now` (ms)."""
        if now // HOUR != self._hour:
            self._hour = now // HOUR
            self._lists = self._computed(now)
        return self._lists

    def _computed(self, now: int) -> dict[str, tuple[Ordinals, Floats]]:
        times: NDArray[np.int64] = self._rows.timestamps
        oldest = now - (max(WINDOWS.values()) + self._config.baseline_hours) * HOUR
        first, last = np.searchsorted(times, [oldest, now + 1])
        if first == last:
            return {}
        rows = self._rows.take(np.arange(first, last))
        model = fit_trending(rows.users, rows.items, rows.timestamps, self._n_items, now, self._config)
        return {window: model.top(window, LONGEST) for window in WINDOWS}

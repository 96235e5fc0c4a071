"""Trend scores of records that change: only what changed is scored again."""

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np

from kindred.core.candidates import Floats
from kindred.features.activity import activity
from kindred.features.counters import ENTRY
from kindred.features.item_counters import ACTIVE_D
from kindred.models.trending import WINDOWS, TrendingConfig, trending_scores

Key = TypeVar("Key", bound=Hashable)


class TrendScores(Generic[Key]):
    """Activity and scores by window of everything that was active of late, by some key."""

    def __init__(self, config: TrendingConfig) -> None:
        """Start with nothing."""
        self._config = config
        self._active: dict[Key, bytes] = {}
        self._scores: dict[str, dict[Key, float]] = {window: {} for window in WINDOWS}
        self.changed: set[Key] = set()

    def note(self, key: Key, active: bytes, newer: bool = True) -> None:
        """Take over entries of activity by hour and by day; unless `newer`, only where none are known."""
        if active and (newer or key not in self._active):
            self._active[key] = active
            self.changed.add(key)

    def expire(self, oldest_day: int) -> None:
        """Let go of what was active last on `oldest_day` (since 1970) or before; everything else is to be scored."""
        gone = [key for key, active in self._active.items() if _last_day(active) <= oldest_day]
        for key in gone:
            del self._active[key]
            for scores in self._scores.values():
                scores.pop(key, None)
        self.changed = set(self._active)

    def score(self, now: int) -> None:
        """Score what changed in every window as of `now` (ms); what does not trend is not kept."""
        chosen = [key for key in self.changed if key in self._active]
        self.changed = set()
        entries = [self._active[key] for key in chosen]
        for window, hours in WINDOWS.items():
            found = activity(entries, now, hours)
            values = trending_scores(found.current, found.baseline, hours, found.baseline_hours, self._config)
            scores = self._scores[window]
            for key, value in zip(chosen, values.tolist(), strict=True):
                if value > 0:
                    scores[key] = value
                else:
                    scores.pop(key, None)

    def trending(self) -> set[Key]:
        """Return what trends in any window."""
        return {key for scores in self._scores.values() for key in scores}

    def columns(self, window: str) -> tuple[list[Key], Floats]:
        """Return what trends in a window and how much (n,) float32."""
        scores = self._scores[window]
        return list(scores), np.fromiter(scores.values(), np.float32, len(scores))


def _last_day(active: bytes) -> int:
    """Return the newest day with activity; the daily counts come last."""
    return int(np.frombuffer(active, ENTRY)["slot"][-1]) - ACTIVE_D.first

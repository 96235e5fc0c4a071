"""Trend scores of records that change: only what changed is scored again, and only activity is kept of a record."""

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np

from kindred.core.candidates import Floats
from kindred.features.activity import activity
from kindred.features.counters import BUCKET_BITS, ENTRY
from kindred.features.item_counters import ACTIVE_D, ACTIVE_H
from kindred.features.items import ItemRecord
from kindred.models.trending import WINDOWS, TrendingConfig, trending_scores

Key = TypeVar("Key", bound=Hashable)

# The two kinds of activity are neighbours, so that they are one stretch of a record's sorted counters.
_FIRST = min(ACTIVE_H.kind, ACTIVE_D.kind) << BUCKET_BITS
_BEHIND = (max(ACTIVE_H.kind, ACTIVE_D.kind) + 1) << BUCKET_BITS
_DAILY = ACTIVE_D.kind << BUCKET_BITS


class TrendScores(Generic[Key]):
    """Activity and scores by window of everything that was active of late, by some key."""

    def __init__(self, config: TrendingConfig) -> None:
        """Start with nothing."""
        self._config = config
        self._records: dict[Key, ItemRecord] = {}
        self._scores: dict[str, dict[Key, float]] = {window: {} for window in WINDOWS}
        self.changed: set[Key] = set()

    def note(self, key: Key, record: ItemRecord, newer: bool = True) -> None:
        """Take over the activity of a record; unless `newer`, only where none is known."""
        if newer or key not in self._records:
            active = _activity_of(record)
            if active.counters:
                self._records[key] = active
                self.changed.add(key)

    def expire(self, oldest_day: int) -> None:
        """Let go of what was active last on `oldest_day` (since 1970) or before; everything else is to be scored."""
        gone = [key for key, record in self._records.items() if _last_day(record) <= oldest_day]
        for key in gone:
            del self._records[key]
            for scores in self._scores.values():
                scores.pop(key, None)
        self.changed = set(self._records)

    def score(self, now: int) -> None:
        """Score what changed in every window as of `now` (ms); what does not trend is not kept."""
        chosen = [key for key in self.changed if key in self._records]
        self.changed = set()
        records = [self._records[key] for key in chosen]
        for window, hours in WINDOWS.items():
            found = activity(records, now, hours)
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


def _activity_of(record: ItemRecord) -> ItemRecord:
    """Return a record with nothing but its activity by hour and by day: a fraction of its size."""
    slots = np.frombuffer(record.counters, ENTRY)["slot"]
    first, behind = np.searchsorted(slots, np.array([_FIRST, _BEHIND], slots.dtype)).tolist()
    return ItemRecord(bytes(record.counters[first * ENTRY.itemsize : behind * ENTRY.itemsize]))


def _last_day(record: ItemRecord) -> int:
    """Return the newest day with activity; the daily counts come last in a record of activity alone."""
    slot = int(np.frombuffer(record.counters, ENTRY)["slot"][-1])
    return slot - _DAILY

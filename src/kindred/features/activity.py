"""What trending needs of item records: activity in a window, before it, and how long the item is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import HOUR
from kindred.features.buckets import DAYS
from kindred.features.items import ItemRecord

_DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Activity:
    """Activity of n items against a window of some hours.

    `current (n,) float64` in the window, `baseline (n,) float64` before it, over `baseline_hours (n,) int64` hours: as
    long as the item is known, at least one window where the kept days reach that far.
    """

    current: NDArray[np.float64]
    baseline: NDArray[np.float64]
    baseline_hours: NDArray[np.int64]


def activity(records: Sequence[ItemRecord], as_of: int, window_hours: int) -> Activity:
    """Count each record's activity in the `window_hours` before `as_of` (ms), and before those.

    The window slides over hourly buckets, the oldest of them counted by the share that is still inside (the sliding
    window counter of rate limiters); the baseline is what the daily buckets hold besides.
    """
    size, hour = len(records), as_of // HOUR
    owner, hours, counts = _flat([record.hourly() for record in records])
    leaving = 1.0 - (as_of % HOUR) / HOUR
    share = np.where((hours > hour - window_hours) & (hours <= hour), 1.0, 0.0)
    share[hours == hour - window_hours] = leaving
    current = np.asarray(np.bincount(owner, counts * share, size), np.float64)
    owner, days, counts = _flat([record.daily() for record in records])
    today = hour // _DAY_HOURS
    kept = (days > today - DAYS) & (days <= today)
    total = np.asarray(np.bincount(owner[kept], counts[kept], size), np.float64)
    oldest = np.full(size, today, np.int64)
    np.minimum.at(oldest, owner[kept], days[kept])
    known = (today - oldest) * _DAY_HOURS + hour % _DAY_HOURS + 1
    longest = (DAYS - 1) * _DAY_HOURS + hour % _DAY_HOURS + 1 - window_hours
    lived = np.clip(known - window_hours, min(window_hours, longest), longest)
    return Activity(current, np.maximum(total - current, 0.0), lived)


def _flat(
    columns: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Join buckets of many items: (whose, bucket index, count)."""
    if not columns:
        return np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(columns)), [len(indexes) for indexes, _ in columns])
    indexes = np.concatenate([indexes for indexes, _ in columns]).astype(np.int64)
    return owner, indexes, np.concatenate([counts for _, counts in columns]).astype(np.int64)

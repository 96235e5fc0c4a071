"""What trending needs of item records: activity in a window, before it, and how long the item is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import HOUR
from kindred.features.counters import BUCKET_BITS, Amounts, Counter, packed, unpack_entries
from kindred.features.item_blocks import ACTIVE_HOURS, DAYS, Blocks, kept_buckets
from kindred.features.item_counters import ACTIVE_D, ACTIVE_H

_DAY_HOURS = 24
_DAYS = 32
_BUCKET = (1 << BUCKET_BITS) - 1


@dataclass(frozen=True, slots=True)
class Activity:
    """Activity of n items against a window of some hours.

    `current (n,) float64` in the window, `baseline (n,) float64` before it, over `baseline_hours (n,) int64` hours: as
    long as the item is known, at least one window where the kept days reach that far.
    """

    current: NDArray[np.float64]
    baseline: NDArray[np.float64]
    baseline_hours: NDArray[np.int64]


def active_entries(blocks: Blocks) -> list[bytes]:
    """Return the activity of n items as entries of `ACTIVE_H` and `ACTIVE_D`, as records of countries hold them."""
    hours, days = kept_buckets(blocks, ACTIVE_HOURS), kept_buckets(blocks, DAYS)
    slots = np.concatenate([ACTIVE_H.slots(hours.buckets), ACTIVE_D.slots(days.buckets)], axis=1)
    counts = np.concatenate([hours.counts[:, 0], days.counts[:, DAYS.counters.index(ACTIVE_D)]], axis=1)
    owners, places = np.nonzero(counts)
    return packed(Amounts(owners, slots[owners, places], counts[owners, places]), len(blocks))


def activity(entries: Sequence[bytes], as_of: int, window_hours: int) -> Activity:
    """Count the activity of each of n items in the `window_hours` before `as_of` (ms), and before those.

    The window slides over hourly buckets, the oldest of them counted by the share that is still inside (the sliding
    window counter of rate limiters); the baseline is what the daily buckets hold besides.
    """
    size, hour = len(entries), as_of // HOUR
    found = unpack_entries(entries, np.arange(size, dtype=np.int64))
    owner, hours, counts = _of(found, ACTIVE_H)
    leaving = 1.0 - (as_of % HOUR) / HOUR
    share = np.where((hours > hour - window_hours) & (hours <= hour), 1.0, 0.0)
    share[hours == hour - window_hours] = leaving
    current = np.asarray(np.bincount(owner, counts * share, size), np.float64)
    owner, days, counts = _of(found, ACTIVE_D)
    today = hour // _DAY_HOURS
    kept = (days > today - _DAYS) & (days <= today)
    total = np.asarray(np.bincount(owner[kept], counts[kept], size), np.float64)
    oldest = np.full(size, today, np.int64)
    np.minimum.at(oldest, owner[kept], days[kept])
    known = (today - oldest) * _DAY_HOURS + hour % _DAY_HOURS + 1
    longest = (_DAYS - 1) * _DAY_HOURS + hour % _DAY_HOURS + 1 - window_hours
    lived = np.clip(known - window_hours, min(window_hours, longest), longest)
    return Activity(current, np.maximum(total - current, 0.0), lived)


def _of(found: Amounts, counter: Counter) -> Amounts:
    """Return what one counter holds, with its buckets in place of slots."""
    chosen = found.slots >> BUCKET_BITS == counter.kind
    return Amounts(found.owners[chosen], found.slots[chosen] & _BUCKET, found.amounts[chosen])

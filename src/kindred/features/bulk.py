"""Vectorised folds of many rows at once, equal to folding the same rows one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.profile import Profile
from kindred.features.buckets import DAYS, HOURS, days_of, hours_of, pack
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows, check_names, newest_first
from kindred.features.items import RATING_UNIT, ItemRecord
from kindred.features.users import UserRecord

_BITS = 32
_LOW = (1 << _BITS) - 1


def bulk_users(
    rows: HistoryRows, starts: NDArray[np.int64], profiles: Sequence[Profile | None], config: FoldConfig
) -> Iterator[UserRecord]:
    """Yield one record per user of `rows (n,)` in any order within a user; user i owns `starts[i]:starts[i + 1]`."""
    names = list(check_names(rows.names))
    n_users = len(starts) - 1
    owners = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(starts))
    passing = [name in config.passing for name in names]
    if any(passing):
        kept = ~np.array(passing, np.bool_)[rows.codes]
        rows, owners = rows.take(kept), owners[kept]
    order = newest_first(rows, owners)
    rows, owners = rows.take(order), owners[order]
    totals = np.bincount(owners, minlength=n_users)
    first = np.concatenate(([0], np.cumsum(totals)))
    fits = np.arange(len(owners)) - first[owners] < config.history_rows
    pieces = _cut(rows.take(fits), np.minimum(totals, config.history_rows))
    seen = _seen(owners, rows.items, n_users, config.seen_items)
    for index, (items, timestamps, codes, values) in enumerate(pieces):
        yield UserRecord(
            names if items else [],
            items,
            timestamps,
            codes,
            values,
            next(seen),
            int(totals[index]),
            profile=profiles[index] if profiles else None,
        )


def _cut(rows: HistoryRows, sizes: NDArray[np.integer[Any]]) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Yield each user's packed columns from columns that are grouped by user."""
    ends = np.cumsum(sizes).tolist()
    items, timestamps = rows.items.astype("<i4").tobytes(), rows.timestamps.astype("<i8").tobytes()
    codes, values = rows.codes.tobytes(), rows.values.astype("<f4").tobytes()
    start = 0
    for end in ends:
        yield (
            items[4 * start : 4 * end],
            timestamps[8 * start : 8 * end],
            codes[start:end],
            values[4 * start : 4 * end],
        )
        start = end


def _seen(owners: NDArray[np.int64], items: Ordinals, n_users: int, limit: int) -> Iterator[bytes]:
    """Yield each user's distinct ordinals, ascending and packed."""
    pairs = np.unique((owners << _BITS) | items.astype(np.int64))
    ends = np.searchsorted(pairs >> _BITS, np.arange(n_users), side="right").tolist()
    packed = (pairs & _LOW).astype("<i4").tobytes()
    start = 0
    for end in ends:
        yield packed[4 * max(start, end - limit) : 4 * end]
        start = end


@dataclass(slots=True)
class _Sums:
    """Integer sums by (ordinal, small key), kept sorted by that pair."""

    pairs: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sums: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, items: Ordinals, keys: NDArray[np.integer[Any]], amounts: NDArray[np.int64] | None) -> None:
        """Add `amounts (n,)` (None: one each) under `(items (n,), keys (n,))`."""
        pairs = np.concatenate([self.pairs, (items.astype(np.int64) << _BITS) | keys.astype(np.int64)])
        added = np.ones(len(items), np.int64) if amounts is None else amounts
        amounts = np.concatenate([self.sums, added])
        order = np.argsort(pairs, kind="stable")
        pairs = pairs[order]
        starts = _group_starts(pairs)
        self.pairs = pairs[starts]
        self.sums = np.add.reduceat(amounts[order], starts) if len(starts) else amounts

    def trim(self, span: int) -> None:
        """Keep keys of the `span` up to each ordinal's highest."""
        ordinals = self.pairs >> _BITS
        starts = _group_starts(ordinals)
        if len(starts):
            sizes = np.diff(np.append(starts, len(ordinals)))
            newest = np.repeat(self.pairs[np.append(starts[1:], len(ordinals)) - 1], sizes)
            kept = self.pairs > newest - span
            self.pairs, self.sums = self.pairs[kept], self.sums[kept]

    def of(self, ordinal: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the keys and sums of one ordinal."""
        low, high = np.searchsorted(self.pairs, [ordinal << _BITS, (ordinal + 1) << _BITS])
        return self.pairs[low:high] & _LOW, self.sums[low:high]


def _group_starts(values: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return where each run of equal values begins."""
    if not len(values):
        return np.empty(0, np.intp)
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


class ItemTally:
    """Item records of many rows, added part by part; memory grows with distinct items and buckets, not with rows."""

    def __init__(self, config: FoldConfig) -> None:
        """Start with nothing counted."""
        self._config = config
        self._names: list[str] = []
        self._counts, self._ratings = _Sums(), _Sums()
        self._hours, self._days = _Sums(), _Sums()

    def add(self, rows: HistoryRows) -> None:
        """Count `rows (n,)` of any users, in any order; -1 for a time counts in no bucket."""
        self._names += [name for name in rows.names if name not in self._names]
        recoded = np.array([self._names.index(name) for name in rows.names], np.int64)
        codes = recoded[rows.codes] if len(rows) else np.empty(0, np.int64)
        self._counts.add(rows.items, codes, None)
        self._add_ratings(rows)
        loud = np.array([name not in self._config.quiet for name in self._names], np.bool_)
        active = (rows.timestamps >= 0) & loud[codes] if len(rows) else np.empty(0, np.bool_)
        items, timestamps = rows.items[active], rows.timestamps[active]
        for sums, buckets, span in (
            (self._hours, hours_of(timestamps), HOURS),
            (self._days, days_of(timestamps), DAYS),
        ):
            sums.add(items, buckets, None)
            sums.trim(span)

    def _add_ratings(self, rows: HistoryRows) -> None:
        """Add ratings as thousandths under key 0 and their number under key 1."""
        if "rating" not in rows.names:
            return
        rated = (rows.codes == rows.names.index("rating")) & ~np.isnan(rows.values)
        items, values = rows.items[rated], rows.values[rated].astype(np.float64)
        fixed = np.rint(values * RATING_UNIT).astype(np.int64)
        self._ratings.add(items, np.zeros(len(items), np.int64), fixed)
        self._ratings.add(items, np.ones(len(items), np.int64), None)

    def records(self) -> Iterator[tuple[int, ItemRecord]]:
        """Yield (ordinal, record), ascending by ordinal."""
        for ordinal in np.unique(self._counts.pairs >> _BITS).tolist():
            codes, counts = self._counts.of(ordinal)
            by_name = {self._names[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
            rating = dict(zip(*(column.tolist() for column in self._ratings.of(ordinal)), strict=True))
            hours, hour_counts = self._hours.of(ordinal)
            days, day_counts = self._days.of(ordinal)
            yield (
                ordinal,
                ItemRecord(
                    by_name,
                    rating.get(0, 0),
                    rating.get(1, 0),
                    pack(hours),
                    pack(hour_counts),
                    pack(days),
                    pack(day_counts),
                ),
            )

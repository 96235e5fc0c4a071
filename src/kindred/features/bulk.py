"""Vectorised folds of many rows at once, equal to folding the same rows one by one."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.profile import Profile
from kindred.features.counters import Amounts, Integers, packed, reduced
from kindred.features.deeds import Deeds
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows, check_names, newest_first
from kindred.features.item_counters import ITEM_COUNTERS, item_amounts
from kindred.features.sessions import kept_sessions
from kindred.features.user_counters import SESSION_MS, SESSIONS, SUMS, USER_COUNTERS, user_amounts
from kindred.features.users import UserRecord

_BITS = 32
_LOW = (1 << _BITS) - 1
# Entries that wait to be added up: sorting them anew for each part would take longer than reading it.
_WAITING = 2_000_000


def bulk_users(
    rows: HistoryRows, starts: NDArray[np.int64], profiles: Sequence[Profile | None], config: FoldConfig
) -> Iterator[UserRecord]:
    """Yield one record per user of `rows (n,)` in any order within a user; user i owns `starts[i]:starts[i + 1]`.

    Impressions count, but nothing is put down to them: columns do not say which request showed what.
    """
    check_names(rows.names)
    n_users = len(starts) - 1
    owners = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(starts))
    sessions, rolled = _sessions(rows, owners, n_users, config)
    counters = _user_counters(rows, owners, n_users, rolled, config)
    passing = np.array([name in config.passing for name in rows.names], np.bool_)
    if passing.any():
        kept = ~passing[rows.codes]
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
            list(rows.names) if items else [],
            items,
            timestamps,
            codes,
            values,
            next(seen),
            int(totals[index]),
            profile=profiles[index] if profiles else None,
            counters=counters[index],
            sessions=sessions[index],
        )


def _user_counters(
    rows: HistoryRows, owners: Integers, n_users: int, rolled: Amounts, config: FoldConfig
) -> list[bytes]:
    """Return each user's counters."""
    added = Amounts.join([user_amounts(_deeds(rows, owners), None, config), rolled])
    return packed(reduced(added, USER_COUNTERS.keep), n_users)


def _deeds(rows: HistoryRows, owners: Integers) -> Deeds:
    """Return rows as events of `owners (n,)`; how long something was watched is not among the columns."""
    unknown = np.full(len(rows), np.nan)
    return Deeds(owners, rows.codes.astype(np.int64), rows.timestamps, rows.values, unknown, rows.names)


def _sessions(rows: HistoryRows, owners: Integers, n_users: int, config: FoldConfig) -> tuple[list[bytes], Amounts]:
    """Return each user's newest sessions as packed intervals, and what older ones add to the counters."""
    silent = np.array([name in config.impressions for name in rows.names] or [False], np.bool_)
    chosen = (rows.timestamps >= 0) & ~silent[rows.codes] if len(rows) else np.zeros(0, np.bool_)
    owners, times = owners[chosen], rows.timestamps[chosen]
    order = np.lexsort((times, owners))
    owners, times = owners[order], times[order]
    if not len(times):
        return [b""] * n_users, Amounts.join([])
    breaks = np.concatenate(
        ([True], (owners[1:] != owners[:-1]) | (times[1:] - times[:-1] > config.session_gap * 1000))
    )
    begins = np.flatnonzero(breaks)
    ends = np.append(begins[1:], len(times)) - 1
    whose = owners[begins]
    intervals = np.stack([times[begins], times[ends]], axis=1).astype("<i8")
    sizes = np.bincount(whose, minlength=n_users)
    from_end = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(whose))
    kept = from_end <= kept_sessions(config.session_gap, config.lateness)
    limits = np.concatenate(([0], np.cumsum(np.bincount(whose[kept], minlength=n_users)))).tolist()
    data = intervals[kept].tobytes()
    lists = [data[16 * low : 16 * high] for low, high in itertools.pairwise(limits)]
    gone = whose[~kept]
    lengths = (intervals[:, 1] - intervals[:, 0])[~kept].astype(np.int64)
    slots = [np.full(len(gone), SUMS.first + code, np.int64) for code in (SESSIONS, SESSION_MS)]
    ones = np.ones(len(gone), np.int64)
    return lists, Amounts.join([Amounts(gone, slots[0], ones), Amounts(gone, slots[1], lengths)])


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


class ItemTally:
    """Counters of items from many rows, added part by part; memory grows with items and buckets, not with rows."""

    def __init__(self, config: FoldConfig) -> None:
        """Start with nothing counted."""
        self._config = config
        self._parts: list[Amounts] = []
        self._waiting = 0

    def add(self, rows: HistoryRows) -> None:
        """Count `rows (n,)` of any users, in any order; -1 for a time counts in no bucket."""
        if not len(rows):
            return
        deeds = _deeds(rows, rows.items.astype(np.int64))
        part = reduced(item_amounts(deeds, deeds.of_types(self._config.impressions), self._config), ITEM_COUNTERS.keep)
        self._parts.append(part)
        self._waiting += len(part.owners)
        if self._waiting > _WAITING:
            self._add_up()
            self._waiting = 0

    def counters(self) -> Iterator[tuple[int, bytes]]:
        """Yield (ordinal, entries of `ITEM_COUNTERS`), ascending by ordinal."""
        self._add_up()
        whole = self._parts[0]
        ordinals, places = np.unique(whole.owners, return_inverse=True)
        numbered = Amounts(places.astype(np.int64), whole.slots, whole.amounts)
        yield from zip(ordinals.tolist(), packed(numbered, len(ordinals)), strict=True)

    def _add_up(self) -> None:
        self._parts = [reduced(Amounts.join(self._parts), ITEM_COUNTERS.keep)]

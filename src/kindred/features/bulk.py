"""Vectorised folds of many rows at once, equal to folding the same rows one by one."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.profile import Profile
from kindred.features.bulk_attribution import Attribution, attribute
from kindred.features.circumstances import Circumstances, Labels
from kindred.features.counters import Amounts, Integers, packed, reduced, unpack_entries
from kindred.features.deeds import Deeds, of_types
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows, check_names, newest_first
from kindred.features.item_counters import ITEM_COUNTERS, country_amounts, item_amounts
from kindred.features.sessions import kept_sessions
from kindred.features.user_counters import (
    NO_DEVICE,
    SESSION_MS,
    SESSIONS,
    SUMS,
    USER_COUNTERS,
    device_bucket,
    user_amounts,
)
from kindred.features.users import UserRecord

_BITS = 32
_LOW = (1 << _BITS) - 1
# Entries that wait to be added up: sorting them anew for each part would take longer than reading it.
_WAITING = 2_000_000


def bulk_users(
    rows: HistoryRows,
    starts: NDArray[np.int64],
    profiles: Sequence[Profile | None],
    config: FoldConfig,
    told: Circumstances | None = None,
    attribution: Attribution | None = None,
) -> Iterator[UserRecord]:
    """Yield one record per user of `rows (n,)` in any order within a user; user i owns `starts[i]:starts[i + 1]`.

    `told` are the circumstances of the rows, `attribution` what was made of them; both unless nothing is known.
    """
    check_names(rows.names)
    n_users = len(starts) - 1
    owners = owners_of(starts)
    told = told or Circumstances.unknown(len(rows))
    drafts = (attribution or attribute(rows, owners, told, config)).drafts
    sessions, rolled = _sessions(rows, owners, n_users, config)
    counters = _user_counters(rows, owners, n_users, rolled, told, config)
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
            **(drafts[index].ledger() if index in drafts else {}),
        )


def owners_of(starts: NDArray[np.int64]) -> Integers:
    """Return the number of the user of each row (n,); user i owns `starts[i]:starts[i + 1]`."""
    return np.repeat(np.arange(len(starts) - 1, dtype=np.int64), np.diff(starts))


def _user_counters(
    rows: HistoryRows, owners: Integers, n_users: int, rolled: Amounts, told: Circumstances, config: FoldConfig
) -> list[bytes]:
    """Return each user's counters."""
    devices = told.device_buckets(device_bucket(name, config) for name in told.devices.names)
    devices[of_types(rows.names, rows.codes, config.impressions)] = NO_DEVICE
    added = Amounts.join([user_amounts(_deeds(rows, owners, told), devices, config), rolled])
    return packed(reduced(added, USER_COUNTERS.keep), n_users)


def _deeds(rows: HistoryRows, owners: Integers, told: Circumstances) -> Deeds:
    """Return rows as events of `owners (n,)`."""
    return Deeds(owners, rows.codes.astype(np.int64), rows.timestamps, rows.values, told.watches, rows.names)


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


class _Tally:
    """Counters of items, added part by part; memory grows with items and buckets, not with rows."""

    def __init__(self, config: FoldConfig) -> None:
        """Start with nothing counted."""
        self._config = config
        self._parts: list[Amounts] = []
        self._waiting = 0

    def _add(self, added: Amounts) -> None:
        """Add a part."""
        part = reduced(added, ITEM_COUNTERS.keep)
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


class ItemTally(_Tally):
    """Counters of items from many rows."""

    def add(self, rows: HistoryRows, told: Circumstances | None = None, attribution: Attribution | None = None) -> None:
        """Count `rows (n,)` of any users, in any order; -1 for a time counts in no bucket.

        Without an `attribution` every impression is an exposure that led to nothing.
        """
        if not len(rows):
            return
        deeds = _deeds(rows, rows.items.astype(np.int64), told or Circumstances.unknown(len(rows)))
        exposed = deeds.of_types(self._config.impressions) if attribution is None else attribution.exposed
        parts = [item_amounts(deeds, exposed, self._config)]
        if attribution is not None and attribution.entries:
            items, entries = zip(*attribution.entries, strict=True)
            parts.append(unpack_entries(entries, np.array(items, np.int64)))
        self._add(Amounts.join(parts))


class CountryTally:
    """Activity of items in each country from many rows."""

    def __init__(self, config: FoldConfig) -> None:
        """Start with nothing counted."""
        self._config = config
        self._countries: dict[str, _Tally] = {}

    def add(self, rows: HistoryRows, countries: Labels) -> None:
        """Count `rows (n,)` of any users; those of no country count nowhere."""
        for code in np.unique(countries.codes).tolist():
            if code:
                chosen = rows.take(countries.codes == code)
                deeds = _deeds(chosen, chosen.items.astype(np.int64), Circumstances.unknown(len(chosen)))
                tally = self._countries.setdefault(countries.names[code], _Tally(self._config))
                tally._add(country_amounts(deeds, self._config))

    def counters(self) -> dict[int, list[tuple[str, bytes]]]:
        """Return (country, entries of activity) by ordinal."""
        found: dict[int, list[tuple[str, bytes]]] = {}
        for country, tally in sorted(self._countries.items()):
            for ordinal, entries in tally.counters():
                found.setdefault(ordinal, []).append((country, entries))
        return found

"""Newcomers: what was created lately and has few users, kept newest first instead of looked for by every request."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Ordinals
from kindred.core.clock import DAY
from kindred.recommend.item_table import ItemTable

POOL = 16_384
"""How many of the newest are kept; where a request allows fewer items than that, all it allows are looked at."""


class Newcomers:
    """The newest items of a table that `few` says are little used.

    An item that does not say when it was created counts from its last change, if the bundle's `n_items` do not cover
    it.
    """

    def __init__(self, table: ItemTable, n_items: int, few: Callable[[Ordinals], NDArray[np.bool_]]) -> None:
        """Follow `table`."""
        self._table = table
        self._n_items = n_items
        self._few = few
        self._items = np.empty(0, np.int32)
        self._times = np.empty(0, np.int64)
        self._cut = False
        self._since: int | None = None
        self._version = 0

    def allowed(
        self, allowed: Bits, first: int, last: int, k: int, present: int | None = None
    ) -> tuple[Ordinals, NDArray[np.int64]]:
        """Return the k newest of what is allowed and was created in [first, last] (ms), with those times.

        `present`: the `first` of requests of now, where it is another: the list is of these.
        """
        if allowed.count <= POOL:
            rows = allowed.ordinals()
            items, times = self._newest_first(rows[self._times_of(rows) >= first])
        else:
            self.follow(first if present is None else max(present, self._since or present))
            items, times = self._items, self._times
        inside = np.flatnonzero((times >= first) & (times <= last))
        # Most filters allow one in four of the newest: only for others are all of them looked up.
        for looked_up in (inside[: 4 * k], inside):
            kept = looked_up[allowed.has(items[looked_up])][:k]
            if len(kept) == k:
                break
        return items[kept], times[kept]

    def follow(self, first: int) -> None:
        """Bring the list up to date for what was created since `first` (ms).

        Only what changed is looked at, unless that is forgotten, or the moment lies before that of the list, or half of
        a list that others would belong to is gone.
        """
        changed = self._table.changes.since(self._version)
        self._version = self._table.changes.version
        if self._since is None or changed is None or first < self._since:
            self._make(first)
            return
        if len(changed):
            self._replace(changed, self._since)
            if self._cut and len(self._items) <= POOL // 2:
                self._make(first)
        if first >= self._since + DAY:
            kept = self._times >= first
            self._items, self._times, self._since = self._items[kept], self._times[kept], first
            # What is not on the list is older than the last that was.
            self._cut = self._cut and bool(kept.all())

    def _make(self, first: int) -> None:
        """Make the list by a pass over the catalogue."""
        self._since, rows = first, self._created_since(first)
        self._items, self._times = self._newest_first(rows)
        self._cut = len(self._items) == POOL

    def _replace(self, changed: Ordinals, since: int) -> None:
        """Take some ordinals (m,) out of the list, and put in those that belong there now."""
        gone = np.flatnonzero(np.isin(self._items, changed))
        items, times = np.delete(self._items, gone), np.delete(self._times, gone)
        fresh, moments = self._newest_first(changed[self._times_of(changed) >= since])
        if self._cut:
            # Behind the last of the list there may be others that are not on it.
            last, end = self._items[-1], self._times[-1]
            later = (moments > end) | ((moments == end) & (fresh < last))
            fresh, moments = fresh[later], moments[later]
        if len(fresh):
            items, times = np.concatenate([items, fresh]), np.concatenate([times, moments])
            order = np.lexsort((items, -times))[:POOL]
            items, times = items[order], times[order]
        self._items, self._times, self._cut = items, times, self._cut or len(items) == POOL

    def _created_since(self, first: int) -> Ordinals:
        """Return all items created since a moment (m,), by a pass over the catalogue."""
        dated = np.flatnonzero(self._table.created[: self._n_items] >= first).astype(np.int32)
        young = np.arange(self._n_items, self._table.size, dtype=np.int32)
        return np.concatenate([dated, young[self._times_of(young) >= first]])

    def _times_of(self, rows: Ordinals) -> NDArray[np.int64]:
        created = self._table.created[rows]
        younger = (rows >= self._n_items) & (created == 0)
        created[younger] = self._table.updated[rows[younger]]
        return created

    def _newest_first(self, rows: Ordinals) -> tuple[Ordinals, NDArray[np.int64]]:
        rows = rows[self._few(rows)]
        times = self._times_of(rows)
        if len(rows) > POOL:
            newest = times >= np.partition(times, len(times) - POOL)[len(times) - POOL]
            rows, times = rows[newest], times[newest]
        order = np.lexsort((rows, -times))[:POOL]
        return rows[order], times[order]

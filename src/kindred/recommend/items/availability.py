"""Availability: what is on offer at a moment, moved on from the moment before instead of computed anew."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Mask, Ordinals
from kindred.recommend.items.changes import Changes
from kindred.recommend.items.columns import NEVER, Columns
from kindred.recommend.items.masks import MENDED_SHARE, KeptMask, Key, grown

KEY, OTHER = ("available",), ("available", "at another time")
_LATE = 65_536


class Edges(NamedTuple):
    """Moments at which an item comes or goes: `times (e,)` int64 ms, ascending, with `items (e,)` int32."""

    times: NDArray[np.int64]
    items: Ordinals

    @classmethod
    def of(cls, columns: Columns, rows: Ordinals | None = None) -> Self:
        """Return the edges of some items (m,), of all for None."""
        where = slice(None) if rows is None else rows
        opens, closes = columns["available_from"][where], columns["available_until"][where]
        starts, ends = np.flatnonzero(opens > 0), np.flatnonzero(closes < NEVER)
        places = np.concatenate([starts, ends])
        times = np.concatenate([opens[starts], closes[ends]])
        order = np.argsort(times, kind="stable")
        return cls(times[order], (places if rows is None else rows[places])[order].astype(np.int32))

    def between(self, a: int, b: int) -> Ordinals:
        """Return the items of edges that lie behind the earlier of two moments, up to the later."""
        low, high = np.searchsorted(self.times, (min(a, b), max(a, b)), "right")
        return self.items[low:high]

    def after(self, now: int) -> int:
        """Return the first moment behind `now`."""
        place = int(np.searchsorted(self.times, now, "right"))
        return int(self.times[place]) if place < len(self.times) else NEVER

    def joined(self, other: "Edges") -> "Edges":
        """Return both."""
        times = np.concatenate([self.times, other.times])
        order = np.argsort(times, kind="stable")
        return Edges(times[order], np.concatenate([self.items, other.items])[order])


NO_EDGES = Edges(np.empty(0, np.int64), np.empty(0, np.int32))


class Availability:
    """The mask of what is on offer: listed, inside its dates, in stock.

    The clock may move either way; only items with an edge on the way are looked at. Edges that a change has made void
    do no harm: whether an item is on offer is always read from the columns.
    """

    def __init__(self, columns: Columns, changes: Changes, edges: Edges | None = None, key: Key = KEY) -> None:
        """Read `columns`, which `changes` are made to; `edges` of all items where they are known."""
        self._key = key
        self._columns = columns
        self._changes = changes
        self._edges = edges
        self._late = NO_EDGES
        self._seen = changes.version
        # Between these moments nothing comes or goes.
        self._now = self._next = 0
        self._kept: KeptMask | None = None

    def at(self, now: int) -> KeptMask:
        """Return what is on offer at `now` (ms)."""
        kept = self._kept
        unmoved = kept is not None and self._now <= now < self._next and self._seen == self._changes.version
        if kept is not None and unmoved and self._columns.size == len(kept.bits):
            return kept
        self._kept = self._current(now)
        self._next = min(edges.after(now) for edges in (self._edges or NO_EDGES, self._late))
        return self._kept

    def _current(self, now: int) -> KeptMask:
        size, changed = self._columns.size, self._news()
        kept, before, self._now = self._kept, self._now, now
        if kept is None or changed is None or self._edges is None:
            return self._anew(now)
        moved = [edges.between(before, now) for edges in (self._edges, self._late)]
        count = len(changed) + sum(map(len, moved))
        if not count and size == len(kept.bits):
            return kept
        if count * MENDED_SHARE > size:
            return self._anew(now)
        stale = grown(np.unique(np.concatenate([changed, *moved])).astype(np.int32), len(kept.bits), size)
        return kept.mended(stale, offered(self._columns, now, stale), size)

    def _news(self) -> Ordinals | None:
        """Return what changed since the last look, its edges taken over; None where that is forgotten."""
        if self._seen == self._changes.version:
            return np.empty(0, np.int32)
        changed, self._seen = self._changes.since(self._seen), self._changes.version
        if changed is None:
            self._edges = None
        elif self._edges is not None:
            self._late = self._late.joined(Edges.of(self._columns, changed))
            if len(self._late.times) > max(_LATE, len(self._edges.times) // MENDED_SHARE):
                self._edges, self._late = self._edges.joined(self._late), NO_EDGES
        return changed

    def _anew(self, now: int) -> KeptMask:
        if self._edges is None:
            self._edges, self._late = Edges.of(self._columns), NO_EDGES
        return KeptMask.fresh(self._key, Bits.of(offered(self._columns, now)))


def offered(columns: Columns, now: int, rows: Ordinals | None = None) -> Mask:
    """Return which items (m,), all for None, are listed, inside their dates and in stock at `now` (ms).

    What is asked of a moment before 1970 is told of its beginning: 0 stands for items that were always on offer.
    """
    now = max(now, 0)
    where = slice(None) if rows is None else rows
    opens, closes = columns["available_from"][where], columns["available_until"][where]
    mask: Mask = columns["listed"][where] & (opens <= now) & (closes > now) & (columns["stock"][where] != 0)
    return mask

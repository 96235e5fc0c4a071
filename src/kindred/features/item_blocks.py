"""The counters of items at fixed places: the same bytes of every record, so that many records are read as columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR
from kindred.core.errors import InvalidInput
from kindred.features.counters import BUCKET_BITS, KINDS, Amounts, Counter, Integers
from kindred.features.item_counters import (
    ACTIVE_D,
    ACTIVE_H,
    CLICKS_H,
    CONVERSIONS_H,
    CREDITED_5M,
    CREDITED_D,
    CREDITED_H,
    EXPOSED_5M,
    EXPOSED_D,
    EXPOSED_H,
    HOURS_OF_WEEK,
    MONTHS,
    MONTHS_OF_YEAR,
    SUMS,
    TOTALS,
    VIEWS_5M,
    VIEWS_D,
    VIEWS_H,
    WEEK_HOURS,
)

Blocks = NDArray[np.void]
"""n items (n,) of dtype `HEAD` or `BLOCK`."""

_WIDTHS = (VIEWS_5M.width, HOUR, DAY)
_BUCKET = (1 << BUCKET_BITS) - 1


class Ring(NamedTuple):
    """Counters of one width that keep equally many buckets, in one field (k, buckets + 1) of a block.

    Bucket `newest - buckets + 1 + p` stands at place p, `newest` being the newest of any counter of this width. A place
    holds what the kept buckets before it add up to, so a window of any length is the difference of two places.
    """

    field: str
    dtype: str
    counters: tuple[Counter, ...]

    @property
    def buckets(self) -> int:
        """Return how many buckets are kept."""
        return self.counters[0].keep

    @property
    def clock(self) -> int:
        """Return which place of `newest` tells the newest bucket."""
        return _WIDTHS.index(self.counters[0].width)

    @property
    def column(self) -> tuple[str, str, tuple[int, int]]:
        """Return the field as a dtype takes it."""
        return self.field, self.dtype, (len(self.counters), self.buckets + 1)


# 32 bits hold 4.29e9: 44,000 events a second of one item for 27 hours, or 900 a second in an hour of the week for 25
# years; what is kept for days, and totals, have 64. Sums wrap, so taking back more than is there yet does no harm.
FIVES = Ring("fives", "<u4", (VIEWS_5M, EXPOSED_5M, CREDITED_5M))
HOURS = Ring("hours", "<u4", (VIEWS_H, CLICKS_H, EXPOSED_H, CREDITED_H, CONVERSIONS_H))
WEEK = Ring("week", "<i8", (EXPOSED_D, CREDITED_D))
DAYS = Ring("days", "<i8", (VIEWS_D, ACTIVE_D))
ACTIVE_HOURS = Ring("active_hours", "<u4", (ACTIVE_H,))
_RINGS = (FIVES, HOURS, WEEK, DAYS, ACTIVE_HOURS)
_CODES = {WEEK_HOURS.kind: "week_hours", MONTHS.kind: "months", SUMS.kind: "sums"}

HEAD = np.dtype(
    [
        FIVES.column,
        HOURS.column,
        ("week_hours", "<u4", (HOURS_OF_WEEK,)),
        # So that what follows is aligned.
        ("gap", "<u4"),
        ("months", "<i8", (MONTHS_OF_YEAR,)),
        ("sums", "<i8", (TOTALS,)),
        ("newest", "<i8", (len(_WIDTHS),)),
        WEEK.column,
        DAYS.column,
    ]
)
"""What requests read of an item: `newest` by width, the rings, and totals by code."""

BLOCK = np.dtype([*((name, HEAD[name]) for name in HEAD.names or ()), ACTIVE_HOURS.column, ("end", "<u4")])
"""All that is counted at fixed places: `HEAD`, then activity by hour, which only trends read."""


def read_heads(data: bytes) -> Blocks:
    """Read the heads of n records that stand one behind the other; zeros are an item of which nothing is counted."""
    return np.frombuffer(data, HEAD)


def read_blocks(cells: Sequence[bytes]) -> Blocks:
    """Read the blocks of n records into memory of their own, no bytes being an item of which nothing is counted.

    Raises InvalidInput for bytes of another length.
    """
    if any(each and len(each) != BLOCK.itemsize for each in cells):
        raise InvalidInput("an item's counters are cut short: rebuild the state")
    nothing = bytes(BLOCK.itemsize)
    return np.frombuffer(bytearray().join([each or nothing for each in cells]), BLOCK)


class Windows:
    """Sums over stretches of time of n items, each exact to whole buckets: (n, k) for a ring of k counters."""

    def __init__(self, blocks: Blocks) -> None:
        """Read what is newest of each item."""
        self._blocks, self._rows = blocks, np.arange(len(blocks))
        self._behind = np.ascontiguousarray(blocks["newest"].T) + 1
        self._latest = self._behind.max(axis=1, initial=0).tolist()

    def ending(self, ring: Ring, as_of: int, length: int) -> Integers:
        """Count the `length` ms before `as_of` (ms since 1970 UTC)."""
        return self.between(ring, *ring.counters[0].window(as_of, length))

    def between(self, ring: Ring, first: int, last: int) -> Integers:
        """Count the kept buckets from `first` to `last`, both included."""
        column, clock, most = self._blocks[ring.field], ring.clock, ring.buckets
        low = np.maximum(np.minimum(first - self._behind[clock], 0) + most, 0)
        before: Integers = column[self._rows, :, low]
        # Most windows end now, where every item's newest bucket is counted.
        if last + 1 >= self._latest[clock]:
            return column[:, :, most] - before
        high = np.maximum(np.minimum(last + 1 - self._behind[clock], 0) + most, low)
        return column[self._rows, :, high] - before


class Kept(NamedTuple):
    """The single buckets of a ring of n items: which (n, b), int64 since 1970 UTC, and how much in each (n, k, b)."""

    buckets: Integers
    counts: Integers


def kept_buckets(blocks: Blocks, ring: Ring) -> Kept:
    """Take the sums of a ring apart."""
    first = blocks["newest"][:, ring.clock, None] - (ring.buckets - 1)
    return Kept(first + np.arange(ring.buckets), np.diff(blocks[ring.field], axis=2).astype(np.int64))


def total(blocks: Blocks, code: int) -> Integers:
    """Return the totals (n,) under a code of `SUMS`."""
    sums: Integers = blocks["sums"][:, code]
    return sums


def add(blocks: Blocks, added: Amounts) -> None:
    """Add to blocks in place; `owners` number the rows, kinds of counters that have no place are left alone.

    Sums of what is kept, and what is too old for it, do not depend on the order: any cut into batches and any
    interleaving give the same bytes.
    """
    kinds, buckets = added.slots >> BUCKET_BITS, added.slots & _BUCKET
    before = blocks["newest"].copy()
    clocks = _CLOCKS[kinds]
    timed = np.flatnonzero(clocks >= 0)
    np.maximum.at(blocks["newest"], (added.owners[timed], clocks[timed]), buckets[timed])
    passed = blocks["newest"] - before
    rings = _RING_OF[kinds]
    for number, ring in enumerate(_RINGS):
        _turn(blocks, ring, passed[:, ring.clock])
        chosen = np.flatnonzero(rings == number)
        if len(chosen):
            counted = Amounts(added.owners[chosen], buckets[chosen], added.amounts[chosen])
            _count(blocks, ring, _ROW_OF[kinds[chosen]], counted)
    for kind, field in _CODES.items():
        chosen = np.flatnonzero(kinds == kind)
        amounts = added.amounts[chosen].astype(blocks[field].dtype)
        np.add.at(blocks[field], (added.owners[chosen], buckets[chosen]), amounts)


def _turn(blocks: Blocks, ring: Ring, passed: Integers) -> None:
    """Make room for the `passed (n,)` newest buckets: as many of the oldest fall out."""
    rows = np.flatnonzero(passed)
    if not len(rows):
        return
    places = np.minimum(np.arange(ring.buckets + 1) + passed[rows, None], ring.buckets)
    moved = np.take_along_axis(blocks[ring.field][rows], places[:, None, :], axis=2)
    blocks[ring.field][rows] = moved - moved[:, :, :1]


def _count(blocks: Blocks, ring: Ring, counters: Integers, added: Amounts) -> None:
    """Add to the buckets of a ring that are kept; `added.slots` are buckets, `counters` numbers within the ring."""
    column, last = blocks[ring.field], ring.buckets
    amounts = added.amounts.astype(column.dtype)
    places = added.slots - blocks["newest"][added.owners, ring.clock] + last
    np.add.at(column[:, :, last], (added.owners, counters), np.where(places > 0, amounts, 0))
    # What is not of the newest bucket, little of a live stream, counts in the places from its own on, too.
    older = np.flatnonzero((places > 0) & (places < last))
    if len(older):
        lines, which = np.unique(added.owners[older] * len(ring.counters) + counters[older], return_inverse=True)
        grown = np.zeros((len(lines), last), column.dtype)
        np.add.at(grown, (which, places[older]), amounts[older])
        owners, counters = np.divmod(lines, len(ring.counters))
        column[owners, counters, :last] += np.cumsum(grown, axis=1, dtype=column.dtype)


def _numbers(found: Mapping[int, int]) -> NDArray[np.int64]:
    """Return a table (32,) by kind of counter, -1 where there is nothing."""
    return np.array([found.get(kind, -1) for kind in range(KINDS)], np.int64)


_RING_OF = _numbers({counter.kind: number for number, ring in enumerate(_RINGS) for counter in ring.counters})
_ROW_OF = _numbers({counter.kind: row for ring in _RINGS for row, counter in enumerate(ring.counters)})
_CLOCKS = _numbers({counter.kind: ring.clock for ring in _RINGS for counter in ring.counters})

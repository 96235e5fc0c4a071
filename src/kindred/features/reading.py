"""Counters of many records as columns: totals and windows for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.features.counters import BUCKET_BITS, ENTRY, KINDS, Counter, Integers

_SLOT_BITS = 32


class Entries(NamedTuple):
    """Entries of many records, all (m,): whose, what kind, which bucket, how much; ascending in this order."""

    owner: Integers
    kind: Integers
    bucket: Integers
    amount: Integers


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counters of n records, ready for many questions; each answer is a column (n,) int64."""

    size: int
    _keys: Integers
    _running: Integers

    @classmethod
    def of(cls, records: Sequence[bytes]) -> "Tallies":
        """Read the `counters` of n records; raise InvalidInput when bytes are no entries."""
        owner, kind, bucket, amount = entries_of(records)
        keys = (owner << _SLOT_BITS) | (kind << BUCKET_BITS) | bucket
        return cls(len(records), keys, np.concatenate(([0], np.cumsum(amount))))

    def between(self, counter: Counter, first: int, last: int) -> Integers:
        """Return the sum (n,) over the buckets from `first` to `last`, both counted."""
        base = (np.arange(self.size, dtype=np.int64) << _SLOT_BITS) + counter.first
        top = (1 << BUCKET_BITS) - 1
        low = np.searchsorted(self._keys, base + min(max(first, 0), top))
        high = np.searchsorted(self._keys, base + min(max(last, -1), top), side="right")
        sums: Integers = self._running[np.maximum(high, low)] - self._running[low]
        return sums

    def window(self, counter: Counter, as_of: int, length: int) -> Integers:
        """Return the sum (n,) over the `length` ms before `as_of` (ms since 1970 UTC), exact to whole buckets."""
        return self.between(counter, *counter.window(as_of, length))

    def at(self, counter: Counter, bucket: int = 0) -> Integers:
        """Return the amount (n,) of one bucket."""
        return self.between(counter, bucket, bucket)

    def total(self, counter: Counter) -> Integers:
        """Return the sum (n,) over all buckets that are kept."""
        return self.between(counter, 0, (1 << BUCKET_BITS) - 1)

    def buckets(self, counter: Counter, first: int, last: int) -> tuple[Integers, Integers]:
        """Return (number of non-empty buckets (n,), oldest of them (n,) or -1) from `first` to `last`."""
        base = (np.arange(self.size, dtype=np.int64) << _SLOT_BITS) + counter.first
        low = np.searchsorted(self._keys, base + max(first, 0))
        high = np.maximum(np.searchsorted(self._keys, base + last, side="right"), low)
        keys = self._keys if len(self._keys) else np.zeros(1, np.int64)
        oldest = keys[np.minimum(low, len(keys) - 1)] & ((1 << BUCKET_BITS) - 1)
        return (high - low).astype(np.int64), np.where(high > low, oldest, -1)

    def codes(self, counter: Counter, size: int) -> NDArray[np.int64]:
        """Return a matrix (n, size) of the amounts in buckets 0 to size - 1."""
        return np.stack([self.at(counter, bucket) for bucket in range(size)], axis=1)


def entries_of(records: Sequence[bytes]) -> Entries:
    """Read the `counters` of many records as columns; raise InvalidInput when bytes are no entries."""
    sizes = np.fromiter(map(len, records), np.int64, len(records))
    if (sizes % ENTRY.itemsize).any():
        raise InvalidInput("a record's counters are cut short: rebuild the state")
    entries = np.frombuffer(b"".join(records), ENTRY)
    owner = np.repeat(np.arange(len(records), dtype=np.int64), sizes // ENTRY.itemsize)
    slots = entries["slot"].astype(np.int64)
    kind = (slots >> BUCKET_BITS) & (KINDS - 1)
    return Entries(owner, kind, slots & ((1 << BUCKET_BITS) - 1), entries["amount"].astype(np.int64))

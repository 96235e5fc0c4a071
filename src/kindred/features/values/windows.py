"""Sums over ranges of one record's counters."""

import itertools
from bisect import bisect_left

import numpy as np

from kindred.core.errors import InvalidInput
from kindred.features.counters import ENTRY, Counter


class Counted:
    """The entries of one record, ready for many questions."""

    def __init__(self, counters: bytes) -> None:
        """Read a record's `counters`; raise InvalidInput when the bytes are no entries."""
        if len(counters) % ENTRY.itemsize:
            raise InvalidInput("a record's counters are cut short: rebuild the state")
        entries = np.frombuffer(counters, ENTRY)
        self._slots: list[int] = entries["slot"].tolist()
        self._amounts: list[int] = entries["amount"].tolist()
        self._running: list[int] = list(itertools.accumulate(self._amounts, initial=0))

    def between(self, counter: Counter, first: int, last: int) -> int:
        """Return the sum over the buckets from `first` to `last`, both counted."""
        low, high = self._places(counter, first, last)
        return self._running[high] - self._running[low]

    def window(self, counter: Counter, as_of: int, length: int) -> int:
        """Return the sum over the `length` ms before `as_of` (ms since 1970 UTC), exact to whole buckets."""
        return self.between(counter, *counter.window(as_of, length))

    def at(self, counter: Counter, bucket: int) -> int:
        """Return the amount of one bucket."""
        return self.between(counter, bucket, bucket)

    def buckets(self, counter: Counter, first: int, last: int) -> list[tuple[int, int]]:
        """Return (bucket, amount) of what is kept from `first` to `last`, both counted, ascending."""
        low, high = self._places(counter, first, last)
        return [
            (slot - counter.first, amount)
            for slot, amount in zip(self._slots[low:high], self._amounts[low:high], strict=True)
        ]

    def _places(self, counter: Counter, first: int, last: int) -> tuple[int, int]:
        """Return where the buckets from `first` to `last` begin, and where they end."""
        low = bisect_left(self._slots, counter.first + max(first, 0))
        return low, bisect_left(self._slots, counter.first + max(last + 1, 0), low)

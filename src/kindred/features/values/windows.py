"""Sums over ranges of one record's counters."""

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
        self._by_slot: dict[int, int] = dict(zip(self._slots, self._amounts, strict=True))

    def window(self, counter: Counter, as_of: int, length: int) -> int:
        """Return the sum over the `length` ms before `as_of` (ms since 1970 UTC), exact to whole buckets."""
        return sum(self.buckets(counter, *counter.window(as_of, length)))

    def at(self, counter: Counter, bucket: int) -> int:
        """Return the amount of one bucket."""
        return self._by_slot.get(counter.first + bucket, 0)

    def buckets(self, counter: Counter, first: int, last: int) -> list[int]:
        """Return the amounts that are kept of the buckets from `first` to `last`, both counted, ascending."""
        low = bisect_left(self._slots, counter.first + max(first, 0))
        return self._amounts[low : bisect_left(self._slots, counter.first + max(last + 1, 0), low)]

"""Sums over ranges of counters of many records: all questions in one pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.features.counters import BUCKET_BITS, ENTRY, Counter

_TOP = (1 << BUCKET_BITS) - 1
_SLOT_BITS = 32


class Questions:
    """Ranges of slots to be summed, by name."""

    def __init__(self, as_of: int) -> None:
        """Ask as of a moment (ms since 1970 UTC)."""
        self._as_of = as_of
        self._ranges: dict[str, tuple[int, int]] = {}

    def window(self, name: str, counter: Counter, length: int) -> None:
        """Ask for the buckets of the `length` ms before the moment."""
        self.between(name, counter, *counter.window(self._as_of, length))

    def between(self, name: str, counter: Counter, first: int = 0, last: int = _TOP) -> None:
        """Ask for the buckets from `first` to `last`, both counted; all of them unless told."""
        low = min(max(first, 0), _TOP)
        high = min(max(last, low - 1), _TOP)
        self._ranges[name] = (counter.first + low, counter.first + high + 1)

    def answers(self, records: Sequence[bytes]) -> dict[str, NDArray[np.float64]]:
        """Return each sum (n,) of n records' counters; raise InvalidInput when bytes are no entries."""
        edges = sorted({edge for limits in self._ranges.values() for edge in limits})
        sums = _running_at(records, np.array(edges, np.int64))
        place = {edge: number for number, edge in enumerate(edges)}
        return {name: sums[place[high]] - sums[place[low]] for name, (low, high) in self._ranges.items()}


def _running_at(records: Sequence[bytes], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (e, n): the sum, up to a constant of each record, of its entries whose slot is below each edge."""
    sizes = np.fromiter(map(len, records), np.int64, len(records))
    if (sizes % ENTRY.itemsize).any():
        raise InvalidInput("a record's counters are cut short: rebuild the state")
    entries = np.frombuffer(b"".join(records), ENTRY)
    owners = np.arange(len(records), dtype=np.int64) << _SLOT_BITS
    keys = np.repeat(owners, sizes // ENTRY.itemsize)
    keys += entries["slot"]
    running = np.zeros(len(keys) + 1, np.float64)
    np.cumsum(entries["amount"], out=running[1:])
    places = np.searchsorted(keys, (owners[:, None] + edges).ravel())
    return np.ascontiguousarray(running[places].reshape(len(records), len(edges)).T)

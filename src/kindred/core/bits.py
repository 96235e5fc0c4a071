"""Bits: a mask over the catalogue at one bit an item, as filters and vector indexes read it."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask, Ordinals


class Bits:
    """Which ordinals of [0, size) are in a set; never changed once made, so that requests may share it.

    `packed ((size + 7) // 8,) uint8`: bit i of byte b is ordinal 8 b + i; the bits behind `size` are 0.
    """

    __slots__ = ("_count", "packed", "size")

    def __init__(self, packed: NDArray[np.uint8], size: int, count: int | None = None) -> None:
        """Take packed bits as they are; `count` is how many are set, where that is known."""
        self.packed = packed
        self.size = size
        self._count = count

    @classmethod
    def of(cls, mask: Mask) -> Self:
        """Pack a mask (n,)."""
        return cls(np.packbits(mask, bitorder="little"), len(mask))

    @classmethod
    def listed(cls, ordinals: Ordinals, size: int) -> Self:
        """Return the set of some ordinals (m,); those not in [0, size) are left out."""
        inside = ordinals[(ordinals >= 0) & (ordinals < size)]
        packed = np.zeros((size + 7) // 8, np.uint8)
        np.bitwise_or.at(packed, inside >> 3, np.left_shift(1, inside & 7).astype(np.uint8))
        return cls(packed, size)

    def __len__(self) -> int:
        """Return `size`."""
        return self.size

    def __and__(self, other: "Bits") -> "Bits":
        """Return what is in both; beyond the shorter one nothing is."""
        size = min(self.size, other.size)
        count = (size + 7) // 8
        return Bits(_cut(self.packed[:count] & other.packed[:count], size), size)

    @property
    def count(self) -> int:
        """Return how many ordinals are in the set."""
        if self._count is None:
            whole = len(self.packed) // 8 * 8
            counts = np.bitwise_count(self.packed[:whole].view(np.uint64)).sum(dtype=np.int64)
            self._count = int(counts + np.bitwise_count(self.packed[whole:]).sum(dtype=np.int64))
        return self._count

    def has(self, ordinals: Ordinals) -> Mask:
        """Return which ordinals (m,), none negative, are in the set; those beyond `size` are not."""
        if not self.size:
            return np.zeros(len(ordinals), np.bool_)
        near = np.minimum(ordinals, self.size - 1)
        found: Mask = (self.packed[near >> 3] >> (near & 7).astype(np.uint8) & 1).astype(np.bool_)
        return found & (ordinals < self.size)

    def without(self, ordinals: Ordinals) -> "Bits":
        """Return the set without some ordinals (m,)."""
        inside = ordinals[(ordinals >= 0) & (ordinals < self.size)]
        packed = self.packed.copy()
        np.bitwise_and.at(packed, inside >> 3, ~np.left_shift(1, inside & 7).astype(np.uint8))
        return Bits(packed, self.size)

    def patched(self, ordinals: Ordinals, inside: Mask) -> "Bits":
        """Return the set with some ordinals (m,), distinct, in [0, size), put in or left out as `inside (m,)` says."""
        added = ordinals[inside]
        found = self.without(ordinals)
        np.bitwise_or.at(found.packed, added >> 3, np.left_shift(1, added & 7).astype(np.uint8))
        return found

    def resized(self, size: int) -> "Bits":
        """Return the same set over [0, size): cut, or with nothing behind what was."""
        if size == self.size:
            return self
        packed = np.zeros((size + 7) // 8, np.uint8)
        shared = min(len(packed), len(self.packed))
        packed[:shared] = self.packed[:shared]
        return Bits(_cut(packed, size), size)

    def mask(self) -> Mask:
        """Return the set as a mask (size,)."""
        return np.unpackbits(self.packed, count=self.size, bitorder="little").view(np.bool_)

    def last(self, k: int) -> Ordinals:
        """Return the k highest ordinals in the set, descending; only as much of it is looked at as that needs."""
        if k <= 0:
            return np.empty(0, np.int32)
        # About as much of the end as holds twice so many; a thin set is looked through as a whole.
        span = 64 + 2 * k * len(self.packed) // max(self.count, 1)
        while span * 16 < len(self.packed):
            start = len(self.packed) - span
            found = np.flatnonzero(np.unpackbits(self.packed[start:], bitorder="little"))
            if len(found) >= k:
                return (found[::-1][:k] + start * 8).astype(np.int32)
            span *= 8
        return self.ordinals()[::-1][:k]

    def ordinals(self) -> Ordinals:
        """Return what is in the set, ascending."""
        bytes_with = np.flatnonzero(self.packed != 0)
        if len(bytes_with) * 4 > len(self.packed):
            return np.flatnonzero(self.mask()).astype(np.int32)
        # Most bytes are empty: only the others are looked into.
        found = np.flatnonzero(np.unpackbits(self.packed[bytes_with], bitorder="little").view(np.bool_))
        ordinals: Ordinals = (bytes_with[found >> 3] * 8 + (found & 7)).astype(np.int32)
        return ordinals


def _cut(packed: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Clear the bits behind `size` in an array that nobody else has."""
    if size % 8:
        packed[-1] &= (1 << size % 8) - 1
    return packed

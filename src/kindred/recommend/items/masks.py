"""Masks that many requests share: packed, under the filter's own key, mended where items changed."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple, TypeAlias

import numpy as np

from kindred.core.bits import Bits
from kindred.core.candidates import Mask, Ordinals
from kindred.recommend.items.changes import Changes

ROOM = 256 << 20
"""Bytes of masks kept: two hundred of ten million items."""
MENDED_SHARE = 8
"""A mask is made anew where more than a share of one in so many of its items changed."""

Key: TypeAlias = tuple[object, ...]
Rows: TypeAlias = Callable[[Ordinals | None], Mask]
"""Which of some ordinals (m,) pass a filter, as a mask (m,); of all of them, (size,), for None."""

_stamps = count(1)


class KeptMask(NamedTuple):
    """A shared mask; while nothing in it changes, its `stamp` stays the same."""

    key: Key
    stamp: int
    bits: Bits

    @classmethod
    def fresh(cls, key: Key, bits: Bits) -> "KeptMask":
        """Return a mask with a stamp that no other has."""
        return cls(key, next(_stamps), bits)

    def mended(self, rows: Ordinals, inside: Mask, size: int) -> "KeptMask":
        """Return the mask over [0, size) with some rows (m,), distinct, as `inside (m,)` says; itself if none moves."""
        bits = self.bits.resized(size)
        if bits is self.bits and np.array_equal(bits.has(rows), inside):
            return self
        return KeptMask.fresh(self.key, bits.patched(rows, inside))


class MaskCache:
    """Keeps masks by key, the longest unused dropped first when they take more than their room."""

    def __init__(self, changes: Changes, room: int = ROOM) -> None:
        """Follow `changes`; keep up to `room` bytes."""
        self._changes = changes
        self._room = room
        self._bytes = 0
        self._kept: dict[Key, tuple[object, KeptMask]] = {}

    def __contains__(self, key: Key) -> bool:
        """Say whether a filter's mask is kept, current or not."""
        return key in self._kept

    def of(self, key: Key, size: int, rows: Rows) -> KeptMask:
        """Return a filter's mask over [0, size), current with all changes; `rows` says what passes."""
        version, kept = self._kept.get(key, (None, None))
        if kept is not None and version == self._changes.version and len(kept.bits) == size:
            return self._keep(version, kept)
        changed = None if kept is None else self._changes.since(version)  # type: ignore[arg-type]
        if kept is None or changed is None:
            return self._keep(self._changes.version, KeptMask.fresh(key, Bits.of(rows(None))))
        stale = grown(changed, len(kept.bits), size)
        if len(stale) * MENDED_SHARE > size:
            return self._keep(self._changes.version, KeptMask.fresh(key, Bits.of(rows(None))))
        return self._keep(self._changes.version, kept.mended(stale, rows(stale), size))

    def together(self, masks: Sequence[KeptMask]) -> KeptMask:
        """Return what is in all of some masks, at least one, kept while none of them changes."""
        if len(masks) == 1:
            return masks[0]
        key, stamps = tuple(mask.key for mask in masks), tuple(mask.stamp for mask in masks)
        known, kept = self._kept.get(key, (None, None))
        if kept is None or known != stamps:
            bits = masks[0].bits & masks[1].bits
            for mask in masks[2:]:
                bits = bits & mask.bits
            kept = KeptMask.fresh(key, bits)
        return self._keep(stamps, kept)

    def _keep(self, version: object, kept: KeptMask) -> KeptMask:
        before = self._kept.pop(kept.key, None)
        self._bytes += kept.bits.packed.nbytes - (0 if before is None else before[1].bits.packed.nbytes)
        self._kept[kept.key] = (version, kept)
        while self._bytes > self._room and len(self._kept) > 1:
            self._bytes -= self._kept.pop(next(iter(self._kept)))[1].bits.packed.nbytes
        return kept


def grown(changed: Ordinals, before: int, size: int) -> Ordinals:
    """Return changed ordinals (m,) with those of [before, size), ascending and distinct."""
    return changed if size <= before else np.union1d(changed, np.arange(before, size, dtype=np.int32))

"""The side segment: vectors of items that are newer than the bundle, scanned exactly."""

import threading

import numpy as np
from numpy.typing import NDArray

from kindred.adapters.local.vector_bases import best
from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import StoreFull

CAPACITY = 50_000


class SideSegment:
    """Rows by ordinal in this process's memory; the last row given for an ordinal counts, all zero hides it."""

    def __init__(self, dimensions: int, capacity: int = CAPACITY) -> None:
        """Start empty; at most `capacity` ordinals of `dimensions` dimensions."""
        self._capacity = capacity
        self._rows: dict[int, int] = {}
        self._end = 0
        self._ordinals = np.empty(0, np.int32)
        self._vectors = np.empty((0, dimensions), np.float32)
        self._live = np.empty(0, np.bool_)
        self._lock = threading.Lock()

    @property
    def end(self) -> int:
        """Return one more than the greatest ordinal, 0 when empty."""
        return self._end

    def upsert(self, ordinals: Ordinals, vectors: NDArray[np.float32]) -> None:
        """Put rows in place of older ones; raise StoreFull beyond the capacity, and then change nothing."""
        with self._lock:
            new = dict.fromkeys(each for each in ordinals.tolist() if each not in self._rows)
            count = len(self._rows) + len(new)
            if count > self._capacity:
                raise StoreFull(
                    f"{count} items are newer than the bundle, {self._capacity} fit beside it: run `kindred train`"
                )
            self._rows.update(zip(new, range(len(self._rows), count), strict=True))
            self._end = max(self._end, max(new, default=-1) + 1)
            self._grow(count)
            rows = [self._rows[each] for each in ordinals.tolist()]
            # Row by row, since numpy leaves open which of two equal indexes wins.
            for row, ordinal, vector in zip(rows, ordinals, vectors, strict=True):
                self._ordinals[row] = ordinal
                self._vectors[row] = vector
            self._live[rows] = self._vectors[rows].any(axis=1)

    def search(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        """Return up to k rows by inner product; an ordinal beyond `allowed` is not allowed."""
        with self._lock:
            count = len(self._rows)
            kept = self._live[:count].copy()
            ordinals = self._ordinals[:count]
            if allowed is not None:
                kept &= allowed.has(ordinals)
            return best(ordinals[kept], (self._vectors[:count] @ query)[kept], k)

    def _grow(self, count: int) -> None:
        if count <= len(self._ordinals):
            return
        room = min(max(2 * len(self._ordinals), count, 64), self._capacity)
        more = room - len(self._ordinals)
        self._ordinals = np.concatenate([self._ordinals, np.zeros(more, np.int32)])
        self._vectors = np.concatenate([self._vectors, np.zeros((more, self._vectors.shape[1]), np.float32)])
        self._live = np.concatenate([self._live, np.zeros(more, np.bool_)])

"""Users' items in order of time, and batches of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.models.sequential import gap_buckets
from kindred.training.neural.histories import Histories

Longs = NDArray[np.int64]
NO_TARGET = -1
# Batches are cut from so many batches' rows sorted by length: little padding, and still another mix each time.
SORTED_BATCHES = 24


@dataclass(frozen=True, slots=True)
class Sequences:
    """Each user's liked items, oldest first: user u's are `[starts[u], starts[u + 1])` of the columns.

    `starts (u + 1,) int64`, `items (m,) int32`, `gaps (m,) uint8` buckets of the time since the item before,
    `types (m,) uint16` event types from 1, 0 unknown.
    """

    starts: Longs
    items: Ordinals
    gaps: NDArray[np.uint8]
    types: NDArray[np.uint16]

    @property
    def lengths(self) -> Longs:
        """Return each user's number of items (u,)."""
        return np.diff(self.starts)

    def cut(self, ends: Longs) -> "Sequences":
        """Return the first `ends (u,)` items of each user."""
        starts = np.concatenate(([0], np.cumsum(ends)))
        index = np.repeat(self.starts[:-1] - starts[:-1], ends) + np.arange(starts[-1])
        return Sequences(starts, self.items[index], self.gaps[index], self.types[index])


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of b users, filled up to the longest l at the end: a causal network never looks there.

    All (b, l) int64: `items`, `places` (distance from the row's last item, -1 behind it), `gaps`, `types`, and
    `targets`, the item that follows each, NO_TARGET where there is none.
    """

    items: Longs
    places: Longs
    gaps: Longs
    types: Longs
    targets: Longs


def sequences_of(past: Histories) -> Sequences:
    """Return what each user likes, as requests see a history: one row per distinct item, at its latest event."""
    liked = past.positive
    starts = np.concatenate(([0], np.cumsum(liked)))[past.offsets]
    times = past.timestamps[liked]
    before = np.append(-1, times[:-1])[: len(times)]
    before[starts[:-1][starts[:-1] < len(times)]] = -1
    gaps, types = gap_buckets(before, times), past.event_types[liked]
    return Sequences(starts, past.items[liked], gaps.astype(np.uint8), types.astype(np.uint16))


def windows_of(sequences: Sequences, length: int) -> tuple[Longs, Longs]:
    """Cut every user's row into windows of at most `length` steps; return where each begins and ends, both (w,).

    The newest window ends with the user's last item, and each older one with the first item of the window after it,
    which nothing there predicts. Users with one item have none.
    """
    begins, ends = sequences.starts[:-1], sequences.starts[1:]
    cuts: list[tuple[Longs, Longs]] = []
    while True:
        longer = ends - begins > 1
        begins, ends = begins[longer], ends[longer]
        if not len(ends):
            break
        cuts.append((np.maximum(begins, ends - length - 1), ends))
        ends = cuts[-1][0] + 1
    none = np.empty(0, np.int64)
    return (
        np.concatenate([none, *(low for low, _ in cuts)]),
        np.concatenate([none, *(high for _, high in cuts)]),
    )


def shuffled(begins: Longs, ends: Longs, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield index arrays of windows that predict about `size` items together, alike in length, in random order."""
    order = rng.permutation(len(begins))
    steps = (ends - begins - 1)[order]
    pool = np.cumsum(steps) // (size * SORTED_BATCHES)
    order = order[np.lexsort((steps, pool))]
    batch = np.cumsum((ends - begins - 1)[order]) // size
    parts = np.split(order, np.flatnonzero(np.diff(batch)) + 1) if len(order) else []
    for place in rng.permutation(len(parts)):
        yield parts[place]


def training_batch(sequences: Sequences, begins: Longs, ends: Longs) -> Batch:
    """Fill windows `[begins, ends)` (b,) into a batch: each item's target is the one after it."""
    batch = history_batch(sequences, begins, ends - 1)
    valid = batch.places >= 0
    rows = begins[:, None] + np.arange(batch.items.shape[1])
    targets = np.full(batch.items.shape, NO_TARGET, np.int64)
    targets[valid] = sequences.items[rows[valid] + 1]
    return replace(batch, targets=targets)


def history_batch(sequences: Sequences, begins: Longs, ends: Longs) -> Batch:
    """Fill rows `[begins, ends)` (b,) of the columns into a batch without targets; filled-up places are -1."""
    sizes = (ends - begins)[:, None]
    steps = np.arange(int(sizes.max(initial=1)))
    places = np.where(steps < sizes, sizes - 1 - steps, -1)
    rows = np.where(places >= 0, begins[:, None] + steps, 0)
    columns = (sequences.items[rows], sequences.gaps[rows], sequences.types[rows])
    items, gaps, types = (np.where(places >= 0, column, 0).astype(np.int64) for column in columns)
    return Batch(items, places, gaps, types, np.full(items.shape, NO_TARGET, np.int64))

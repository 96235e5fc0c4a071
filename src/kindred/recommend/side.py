"""ContentSide: content vectors of items that are newer than the bundle, or were edited after it."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals


class ContentSide:
    """An append-only segment of vectors (m, d) float32 over the bundle's own; the latest row of an ordinal counts."""

    def __init__(self, dimensions: int) -> None:
        """Start empty, for vectors of length `dimensions`."""
        self._ordinals = np.empty(0, np.int32)
        self._vectors = np.empty((0, dimensions), np.float32)

    def __len__(self) -> int:
        """Return how many ordinals it holds."""
        return len(self._ordinals)

    def put(self, ordinals: Ordinals, vectors: Floats) -> None:
        """Add or replace rows (`vectors (m, d)`); each ordinal at most once in a call."""
        kept = ~np.isin(self._ordinals, ordinals)
        joined = np.concatenate([self._ordinals[kept], ordinals])
        stacked = np.concatenate([self._vectors[kept], vectors])
        order = np.argsort(joined)
        self._ordinals, self._vectors = joined[order].astype(np.int32), stacked[order]

    def overlay(self, items: Ordinals, vectors: Floats) -> None:
        """Overwrite the rows of `vectors (n, d)` whose item (n,) has a newer vector here."""
        if not len(self._ordinals):
            return
        place = np.minimum(np.searchsorted(self._ordinals, items), len(self._ordinals) - 1)
        hit = self._ordinals[place] == items
        vectors[hit] = self._vectors[place[hit]]

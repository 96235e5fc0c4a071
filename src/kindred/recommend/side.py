"""ContentSide: content vectors of items that are newer than the bundle, or were edited after it."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals

_FIRST = 256


class ContentSide:
    """An append-only segment of vectors (m, d) float32 over the bundle's own, one row for each ordinal that it holds.

    A change copies numbers of rows alone, never the vectors of others, except when the room for them doubles.
    """

    def __init__(self, dimensions: int) -> None:
        """Start empty, for vectors of length `dimensions`."""
        self._ordinals = np.empty(0, np.int32)
        self._rows = np.empty(0, np.int64)
        self._vectors = np.empty((_FIRST, dimensions), np.float32)

    def __len__(self) -> int:
        """Return how many ordinals it holds."""
        return len(self._ordinals)

    def __contains__(self, item: int) -> bool:
        """Say whether an ordinal has a newer vector here."""
        return bool(self.holds(np.array([item], np.int32))[0])

    def holds(self, items: Ordinals) -> Mask:
        """Say which items (n,) have a newer vector here."""
        return self._find(items)[1]

    def put(self, ordinals: Ordinals, vectors: Floats) -> None:
        """Add or replace rows (`vectors (m, d)`); each ordinal at most once in a call."""
        places, known = self._find(ordinals)
        self._vectors[self._rows[places[known]]] = vectors[known]
        fresh, added, held = ordinals[~known], vectors[~known], len(self)
        if held + len(fresh) > len(self._vectors):
            room = np.empty((2 * (held + len(fresh)), self._vectors.shape[1]), np.float32)
            room[:held] = self._vectors[:held]
            self._vectors = room
        self._vectors[held : held + len(fresh)] = added
        order = np.argsort(fresh)
        places = np.searchsorted(self._ordinals, fresh[order])
        self._rows = np.insert(self._rows, places, held + order)
        self._ordinals = np.insert(self._ordinals, places, fresh[order])

    def overlay(self, items: Ordinals, vectors: Floats) -> None:
        """Overwrite the rows of `vectors (n, d)` whose item (n,) has a newer vector here."""
        places, known = self._find(items)
        vectors[known] = self._vectors[self._rows[places[known]]]

    def _find(self, items: Ordinals) -> tuple[NDArray[np.intp], Mask]:
        """Return the place of each item (n,) among the ordinals, and whether it is there."""
        if not len(self):
            return np.zeros(len(items), np.intp), np.zeros(len(items), np.bool_)
        places = np.minimum(np.searchsorted(self._ordinals, items), len(self) - 1)
        return places, self._ordinals[places] == items

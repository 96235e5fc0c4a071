"""Changes: which items changed lately, so that what was computed of all of them is mended instead of made anew."""

from collections import deque

import numpy as np

from kindred.core.candidates import Ordinals

REMEMBERED = 65_536
"""Changed ordinals that are remembered; what is older than those is computed anew."""


class Changes:
    """A count of changes, `version`, and the ordinals of the latest of them."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        """Start with none."""
        self.version = 0
        self._room = remembered
        self._latest: deque[Ordinals] = deque()
        self._held = 0

    def add(self, ordinals: Ordinals) -> None:
        """Note that some ordinals (m,) changed."""
        self.version += 1
        self._latest.append(ordinals)
        self._held += len(ordinals)
        while self._held > self._room:
            self._held -= len(self._latest.popleft())

    def since(self, version: int) -> Ordinals | None:
        """Return what changed behind a version (m,) int32, ascending and distinct; None where that is forgotten."""
        count = self.version - version
        if count > len(self._latest):
            return None
        parts = [self._latest[-back] for back in range(1, count + 1)]
        return np.unique(np.concatenate([np.empty(0, np.int32), *parts])).astype(np.int32, copy=False)

"""New items: how new each one is."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats
from kindred.core.errors import InvalidInput

SECOND = 1_000


def novelty_scores(created: NDArray[np.int64], as_of: int, window: float) -> Floats:
    """Return how new items are (n,) float32: 1 when just created, falling to 0 in a line over `window` seconds.

    `created (n,) int64` and `as_of` are ms since 1970 UTC. An item without a time (≤ 0) or from the future scores 0.
    Raises InvalidInput when the window is not positive.
    """
    if window <= 0:
        raise InvalidInput.at("/window", "must be more than 0 seconds")
    age = as_of - created
    fresh = 1.0 - age / (window * SECOND)
    return np.where((created > 0) & (age >= 0), np.maximum(fresh, 0.0), 0.0).astype(np.float32)

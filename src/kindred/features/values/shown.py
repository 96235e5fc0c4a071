"""What a user was shown lately and did not click."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.clock import DAY
from kindred.features.attribution import CLICK, EXPOSURE, OUTCOME
from kindred.features.users import UserRecord


def shown_in_vain(record: UserRecord, as_of: int) -> tuple[Ordinals, NDArray[np.int64]]:
    """Return the items of the exposures of the last day before `as_of` (ms), ascending (m,) int32.

    And how many of each came after the last click on it, (m,).
    """
    shown = np.frombuffer(record.exposures, EXPOSURE)
    shown = shown[(shown["timestamp"] > as_of - DAY) & (shown["timestamp"] <= as_of)]
    outcomes = np.frombuffer(record.outcomes, OUTCOME)
    clicks = outcomes[(outcomes["kind"] == CLICK) & (outcomes["timestamp"] <= as_of)]
    items, places = np.unique(shown["item"], return_inverse=True)
    last = np.full(len(items), -1, np.int64)
    if len(clicks) and len(items):
        where = np.minimum(np.searchsorted(items, clicks["item"]), len(items) - 1)
        same = items[where] == clicks["item"]
        np.maximum.at(last, where[same], clicks["timestamp"][same])
    counts = np.bincount(places, shown["timestamp"] > last[places], len(items)).astype(np.int64)
    return items.astype(np.int32), counts

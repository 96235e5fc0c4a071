"""What a user was shown lately: what of it they did not click, and over how many categories it was spread."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.clock import DAY
from kindred.features.attribution import CLICK, EXPOSURE, OUTCOME
from kindred.features.users import UserRecord
from kindred.features.values.users import spread

FEW = 10
"""Fewer exposures say nothing of how they are spread."""


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


def exposure_entropy(record: UserRecord, as_of: int, primary: Ordinals, categories: int) -> float | None:
    """Return the entropy of the categories that the user was shown in the day before `as_of` (ms), 0 to 1.

    0: all of one category, 1: as many of each as there can be (Shannon 1948, over the largest value that so many
    exposures and `categories` allow). `primary (n_items,)` are codes, -1 for none. None for fewer than ten exposures.
    """
    shown = np.frombuffer(record.exposures, EXPOSURE)
    items = shown["item"][(shown["timestamp"] > as_of - DAY) & (shown["timestamp"] <= as_of)]
    codes = primary[items[items < len(primary)]]
    counts = np.bincount(codes[codes >= 0])
    return spread(counts[counts > 0], categories) if counts.sum() >= FEW else None

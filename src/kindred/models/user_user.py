"""User-user neighbourhoods, found live: cosine with shrinkage between one history and those of some others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.models.arrays import values_at


@dataclass(frozen=True, slots=True)
class Histories:
    """What m users think of items, one behind the other: `items (c,) int32`, `values (c,) float32`, negative where
    disliked, `owners (c,) int` in [0, m), one row per user and item.
    """

    items: Ordinals
    values: Floats
    owners: NDArray[np.integer]
    users: int


def nearest_users(
    items: Ordinals, values: Floats, others: Histories, count: int, shrinkage: float
) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Return the `count` users nearest to a history `items (h,)`, `values (h,)`: rows, similarities, items in common.

    `cos(x, y) · n / (n + shrinkage)` with n items both think alike of (significance weighting: Herlocker et al. 1999),
    so that two who share a single item are not the same person. Only positive similarities, best first, ties by row.
    """
    order = np.argsort(items)
    theirs = values_at(items[order], values[order], others.items)
    alike = theirs * others.values
    common = np.bincount(others.owners, alike > 0, others.users).astype(np.intp)
    lengths = np.sqrt(np.bincount(others.owners, np.square(others.values), others.users) * np.square(values).sum())
    cosines = np.bincount(others.owners, alike, others.users) / np.maximum(lengths, 1e-12)
    similarities = (cosines * common / np.maximum(common + shrinkage, 1e-12)).astype(np.float32)
    rows = np.flatnonzero(similarities > 0)
    best = rows[np.argsort(-similarities[rows], kind="stable")[:count]]
    return best, similarities[best], common[best]

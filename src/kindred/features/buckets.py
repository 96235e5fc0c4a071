"""Counts by hour and by day: sparse, bounded to a span up to the newest bucket, and commutative."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR

HOURS = 192
DAYS = 32
_MOST = np.iinfo(np.int32).max


def hours_of(timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the hour since 1970 UTC of each time in ms."""
    return timestamps // HOUR


def days_of(timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the day since 1970 UTC of each time in ms."""
    return timestamps // DAY


def unpack(data: bytes) -> NDArray[np.int32]:
    """Read a packed int32 column."""
    return np.frombuffer(data, "<i4")


def pack(column: NDArray[np.integer[Any]]) -> bytes:
    """Write integers as a packed int32 column, saturated at its largest value."""
    packed: bytes = np.minimum(column, _MOST).astype("<i4").tobytes()
    return packed


def merge_buckets(
    indexes: NDArray[np.integer[Any]], counts: NDArray[np.integer[Any]], span: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum `counts (n,)` by bucket index (n,); keep the buckets of the `span` up to the newest, ascending.

    The order of merging does not matter: what one merge drops, any later merge would have dropped.
    """
    distinct, inverse = np.unique(indexes, return_inverse=True)
    sums = np.bincount(inverse, weights=counts, minlength=len(distinct)).astype(np.int64)
    kept = distinct > distinct[-1] - span if len(distinct) else np.empty(0, np.bool_)
    return distinct[kept].astype(np.int64), sums[kept]

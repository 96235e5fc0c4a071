"""Splits of an interaction log into train and test rows, without training on what comes later."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation import checks

MIN_ORIGINS = 3
_SHARE_SLACK = 1e-9


class Split(NamedTuple):
    """Two disjoint row masks of one log; `cut` is the first test time where the split has one.

    `train (n,) bool`, `test (n,) bool`, `cut`: milliseconds since the epoch.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    cut: int | None = None


def per_user_temporal(
    users: ArrayLike, items: ArrayLike, timestamps: ArrayLike, *, share: float = 0.2, min_rows: int = 5
) -> Split:
    """Put each user's last `share` of rows in time into test, at least one; equal times keep their row order.

    `users (n,) int`, `items (n,) int`, `timestamps (n,) int64, ms`. The test part of n rows is
    floor(share · n). Users with fewer than `min_rows` rows stay in train. Raises InvalidInput when a side
    is empty.
    """
    owners, times = _rows(users, items, timestamps)
    checks.share("share", share)
    checks.at_least("min_rows", min_rows, 2)
    order, position, length = _by_user(owners, times)
    held_out = np.floor(share * length + _SHARE_SLACK).astype(np.int64)
    held_out = np.minimum(np.maximum(held_out, 1), length - 1)
    late = (length >= min_rows) & (position >= length - held_out)
    return _partition(order, late, f"no user has {min_rows} rows: lower min_rows or import more")


def leave_one_out(users: ArrayLike, items: ArrayLike, timestamps: ArrayLike, *, min_rows: int = 2) -> Split:
    """Put each user's last row in time into test; among equal times the last row of the log.

    `users (n,) int`, `items (n,) int`, `timestamps (n,) int64, ms`. Users with fewer than `min_rows`
    rows stay in train. Raises InvalidInput when a side is empty.
    """
    owners, times = _rows(users, items, timestamps)
    checks.at_least("min_rows", min_rows, 2)
    order, position, length = _by_user(owners, times)
    last = (length >= min_rows) & (position == length - 1)
    return _partition(order, last, f"no user has {min_rows} rows: import more")


def global_time(
    users: ArrayLike,
    items: ArrayLike,
    timestamps: ArrayLike,
    *,
    quantile: float | None = None,
    cut: int | None = None,
) -> Split:
    """Train on rows before one moment and test on the rest; the moment is `cut`, or the row at `quantile`.

    `users (n,) int`, `items (n,) int`, `timestamps (n,) int64, ms`, `cut`: ms. Rows at the moment itself
    are test rows, so at most a `quantile` share of rows is train. Raises InvalidInput when a side is empty
    or when not exactly one of `quantile` and `cut` is given.
    """
    _, times = _rows(users, items, timestamps)
    if cut is not None and quantile is None:
        return _window(times, int(cut), None)
    if cut is not None or quantile is None:
        raise InvalidInput.at("cut", "give exactly one of `quantile` and `cut`")
    rank = int(np.floor(checks.share("quantile", quantile) * len(times) + _SHARE_SLACK))
    rank = min(rank, len(times) - 1)
    return _window(times, int(np.partition(times, rank)[rank]), None)


def rolling_origins(
    users: ArrayLike,
    items: ArrayLike,
    timestamps: ArrayLike,
    *,
    horizon: int,
    origins: int = MIN_ORIGINS,
    cuts: Sequence[int] | None = None,
) -> list[Split]:
    """Train before each of several moments and test on the `horizon` that follows (Tashman, 2000).

    `users (n,) int`, `items (n,) int`, `timestamps (n,) int64, ms`, `horizon`: ms, `cuts`: ms, in increasing
    order. Without `cuts` the test windows of the `origins` are adjacent and the last one ends with the log's last row;
    with them `origins` is not used.
    Train grows from origin to origin. Raises InvalidInput for fewer than 3 origins and for an empty side.
    """
    _, times = _rows(users, items, timestamps)
    checks.at_least("horizon", horizon, 1)
    if cuts is None:
        checks.at_least("origins", origins, MIN_ORIGINS)
        end = int(times.max()) + 1
        cuts = [end - horizon * left for left in range(origins, 0, -1)]
    checks.at_least("number of cuts", len(cuts), MIN_ORIGINS)
    if any(later <= earlier for earlier, later in pairwise(cuts)):
        raise InvalidInput.at("cuts", "must be in increasing order")
    return [_window(times, int(cut), horizon) for cut in cuts]


def _rows(users: ArrayLike, items: ArrayLike, timestamps: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Check the three columns of a log together and return its users and times."""
    owners = checks.ordinals("users", users)
    times = checks.integers("timestamps", timestamps)
    rows = checks.same_length(users=owners, items=checks.ordinals("items", items), timestamps=times)
    checks.at_least("rows", rows, 2)
    return owners, times


def _by_user(
    users: NDArray[np.int64], times: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the order by (user, time, row) and, in it, each row's place and its user's row count."""
    order = np.lexsort((times, users))
    ordered = users[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    counts = np.diff(starts, append=len(ordered))
    position = np.arange(len(ordered)) - np.repeat(starts, counts)
    return order, position, np.repeat(counts, counts)


def _partition(order: NDArray[np.int64], late: NDArray[np.bool_], fix: str) -> Split:
    """Turn a test mask in sorted order into masks over the log's rows."""
    test = np.zeros(len(order), dtype=np.bool_)
    test[order[late]] = True
    if not test.any():
        raise InvalidInput.at("users", f"the test side is empty; {fix}")
    return Split(~test, test)


def _window(times: NDArray[np.int64], cut: int, horizon: int | None) -> Split:
    """Split at `cut`, testing on the `horizon` after it or on everything after it."""
    train = times < cut
    test = ~train if horizon is None else ~train & (times < cut + horizon)
    for side, mask in (("train", train), ("test", test)):
        if not mask.any():
            span = f"the log spans {times.min()} to {times.max()} ms"
            raise InvalidInput.at("cut", f"the {side} side is empty at cut {cut}; {span}: choose a cut inside it")
    return Split(train, test, cut)

"""Percentile bootstrap intervals over users (Efron and Tibshirani, 1993)."""

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.evaluation import checks
from kindred.evaluation.undefined import quotient

MIN_RESAMPLES = 2_000
_BLOCK_CELLS = 2_000_000


class Bootstrap(Config, frozen=True):
    """How intervals are drawn: `resamples` of the users (at least 2,000), two-sided `level`, stream `seed`."""

    resamples: int = MIN_RESAMPLES
    level: float = 0.95
    seed: int = 20_240_601


class Interval(Struct, frozen=True):
    """A mean with its percentile interval; `users` is how many users it rests on.

    All three are NaN when no user has a defined value.
    """

    mean: float
    low: float
    high: float
    users: int

    @property
    def excludes_zero(self) -> bool:
        """Say whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def mean_interval(values: ArrayLike, *, users: ArrayLike | None = None, bootstrap: Bootstrap | None = None) -> Interval:
    """Return the mean of `values (r,) float` with its interval; see `mean_intervals`."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InvalidInput.at("values", f"has {column.ndim} dimensions; pass one value per row")
    return mean_intervals(column[:, None], users=users, bootstrap=bootstrap)[0]


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    *,
    users: ArrayLike | None = None,
    bootstrap: Bootstrap | None = None,
) -> Interval:
    """Return the mean of values − baseline over the same users, with its interval.

    `values (r,) float`, `baseline (r,) float`. Rows where either is NaN are left out. Raises InvalidInput
    when the lengths differ.
    """
    ours, theirs = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    checks.same_length(values=ours, baseline=theirs)
    return mean_interval(ours - theirs, users=users, bootstrap=bootstrap)


def mean_intervals(
    values: ArrayLike, *, users: ArrayLike | None = None, bootstrap: Bootstrap | None = None
) -> list[Interval]:
    """Return the mean of every column with its interval, all from the same resamples of the users.

    `values (r, m) float`, NaN where undefined. `users (r,) int` names the user of each row, so that a user tested at
    several origins is drawn as one; without it each row is a user. A resampled mean is the sum of the drawn users'
    defined values over their number. Raises InvalidInput for no rows and for infinite values.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) == 0:
        raise InvalidInput.at("values", f"has shape {matrix.shape}; pass at least one user")
    if np.isinf(matrix).any():
        raise InvalidInput.at("values", "holds an infinite value; only finite ones and NaN (undefined) have a mean")
    settings = bootstrap or Bootstrap()
    checks.at_least("resamples", settings.resamples, MIN_RESAMPLES)
    tail = (1.0 - checks.share("level", settings.level)) / 2
    sums, counts = _per_user(matrix, users)
    lows, highs = _percentiles(_resample(sums, counts, settings), (tail, 1.0 - tail))
    means = quotient(sums.sum(axis=0), counts.sum(axis=0))
    sizes = (counts > 0).sum(axis=0)
    return [
        Interval(float(mean), float(low), float(high), int(size))
        for mean, low, high, size in zip(means, lows, highs, sizes, strict=True)
    ]


def ratio_interval(
    above: ArrayLike, below: ArrayLike, *, users: ArrayLike | None = None, bootstrap: Bootstrap | None = None
) -> Interval:
    """Return the sum of `above (r,)` over the sum of `below (r,)`, with its interval; users are drawn as one.

    Raises InvalidInput when the lengths differ, and for what is not finite.
    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    checks.same_length(above=top, below=bottom)
    pairs = np.stack([top, bottom], axis=1)
    if not len(pairs) or not np.isfinite(pairs).all():
        raise InvalidInput.at("above", "and `below` must be finite numbers of at least one row")
    settings = bootstrap or Bootstrap()
    checks.at_least("resamples", settings.resamples, MIN_RESAMPLES)
    tail = (1.0 - checks.share("level", settings.level)) / 2
    sums, _ = _per_user(pairs, users)
    low, high = _percentiles(_resample(sums[:, :1], sums[:, 1:], settings), (tail, 1.0 - tail))
    total = sums.sum(axis=0)
    mean = quotient(total[:1], total[1:])
    return Interval(float(mean[0]), float(low[0]), float(high[0]), len(sums))


def _per_user(matrix: NDArray[np.float64], users: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum each user's defined values and count them, two (u, m) float64; users without any are dropped."""
    defined = ~np.isnan(matrix)
    sums, counts = np.where(defined, matrix, 0.0), defined.astype(np.float64)
    if users is not None:
        owners = checks.integers("users", users)
        checks.same_length(users=owners, values=matrix)
        order = np.argsort(owners, kind="stable")
        starts = np.flatnonzero(np.diff(owners[order], prepend=owners[order[0]] - 1))
        sums, counts = np.add.reduceat(sums[order], starts), np.add.reduceat(counts[order], starts)
    kept = counts.any(axis=1)
    return sums[kept], counts[kept]


def _resample(sums: NDArray[np.float64], counts: NDArray[np.float64], settings: Bootstrap) -> NDArray[np.float64]:
    """Return the mean of every column in every resample, (resamples, m) float64, in bounded memory."""
    n_users = len(sums)
    out = np.full((settings.resamples, sums.shape[1]), np.nan)
    if n_users == 0:
        return out
    generator = np.random.default_rng(settings.seed)
    block = max(1, _BLOCK_CELLS // n_users)
    for start in range(0, settings.resamples, block):
        size = min(block, settings.resamples - start)
        drawn = generator.integers(n_users, size=(size, n_users))
        drawn += np.arange(size)[:, None] * n_users
        times = np.bincount(drawn.ravel(), minlength=size * n_users).reshape(size, n_users).astype(np.float64)
        out[start : start + size] = quotient(times @ sums, times @ counts)
    return out


def _percentiles(means: NDArray[np.float64], levels: tuple[float, float]) -> NDArray[np.float64]:
    """Return the two percentiles of every column, (2, m); a column that is NaN throughout stays NaN."""
    out = np.full((2, means.shape[1]), np.nan)
    for column, values in enumerate(means.T):
        known = values[~np.isnan(values)]
        if len(known):
            out[:, column] = np.quantile(known, levels)
    return out

"""Questions for an index with exact answers: under filters at random, near the query and far from it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Mask

SHARES = (0.1, 0.01, 0.001, 0.0001)
"""Of all rows, those that a filter leaves."""
_AT_ONCE = 4
_BLOCK = 65_536
_RANKED = 500_000


class Case(NamedTuple):
    """A query (d,), a filter or None, how many rows are wanted, at least one, and the least score of the best."""

    query: Floats
    allowed: Bits | None
    depth: int
    least: float


Cases = dict[tuple[str, float], list[Case]]


def queries(vectors: NDArray[np.float32], live: NDArray[np.intp], count: int, seed: int) -> NDArray[np.float32]:
    """Make queries (count, d): half like users, the sum of three rows each, half like items, one row."""
    rows = vectors[np.random.default_rng(seed).choice(live, (count, 3))]
    rows[::2, 1:] = 0
    return np.ascontiguousarray(rows.sum(axis=1, dtype=np.float32))


def filtered_cases(
    vectors: NDArray[np.float32], live: NDArray[np.intp], asked: NDArray[np.float32], depth: int
) -> Cases:
    """Return a case of each query, `depth` deep, by the filter's family and share: `("all", 1.0)` is without a filter.

    `near` leaves the rows of the greatest inner products with the query, `far` those of the least.
    """
    chance = np.random.default_rng(0).random(len(vectors), np.float32)
    held = np.zeros(len(vectors), np.bool_)
    held[live] = True
    cases: Cases = {}
    for query, scores in _scored(vectors, asked):
        cases.setdefault(("all", 1.0), []).append(_case(query, None, scores[live], depth))
        for name, share, mask in _filters(scores, live, chance):
            rows = np.flatnonzero(mask & held)
            if len(rows):
                cases.setdefault((name, share), []).append(_case(query, Bits.of(mask), scores[rows], depth))
    return cases


def recall(cases: list[Case], search: Callable[[Case], Floats]) -> float:
    """Return the mean share of the exact best that a search finds, by the inner products of what it returns.

    By products and not by ordinals, since rows may be equal; float32 leaves them open by a few units in the last place
    of what is summed, for which the greatest product of any case stands.
    """
    greatest = max(abs(case.least) for case in cases)
    shares = []
    for case in cases:
        near = case.least - 4 * np.finfo(np.float32).eps * greatest
        shares.append(min(1.0, np.count_nonzero(search(case) >= near) / case.depth))
    return float(np.mean(shares))


def _scored(vectors: NDArray[np.float32], asked: NDArray[np.float32]) -> Iterator[tuple[Floats, Floats]]:
    """Go through queries with their inner products (n,); the vectors may lie on disk."""
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        scores = np.empty((len(some), len(vectors)), np.float32)
        for first in range(0, len(vectors), _BLOCK):
            block = slice(first, first + _BLOCK)
            np.matmul(some, vectors[block].astype(np.float32, copy=False).T, out=scores[:, block])
        yield from zip(some, scores, strict=True)


def _filters(scores: Floats, live: NDArray[np.intp], chance: Floats) -> Iterator[tuple[str, float, Mask]]:
    ranked = np.sort(scores[live[:: max(1, len(live) // _RANKED)]])
    for share in SHARES:
        cut = min(int(share * len(ranked)), len(ranked) - 1)
        yield "random", share, chance < share
        yield "near", share, scores >= ranked[-1 - cut]
        yield "far", share, scores <= ranked[cut]


def _case(query: Floats, allowed: Bits | None, scores: Floats, depth: int) -> Case:
    depth = min(depth, len(scores))
    least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    return Case(query, allowed, depth, float(least))

"""Drawing from the pools of exploration, slot by slot, under what is still open."""

from bisect import bisect_right
from itertools import accumulate
from typing import Self

import numpy as np

from kindred.core.candidates import Floats

_TRIES = 4


class Pool:
    """One pool: its rows with their weights, and those of them that are open."""

    def __init__(self, weights: Floats, share: float) -> None:
        """Hold the rows of positive weight (n,); nothing is open before `restrict`."""
        rows = np.flatnonzero(weights > 0)
        self.share = share
        self._weights = dict(zip(rows.tolist(), weights[rows].astype(np.float64).tolist(), strict=True))
        self._rows = list(self._weights)
        self._reach = list(accumulate(self._weights.values()))
        self.open: dict[int, float] = {}
        self.mass = 0.0

    def copy(self) -> Self:
        """Return the same pool, to be drawn from by itself."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.open = self.open.copy()
        return twin

    def restrict(self, allowed: bytes) -> None:
        """Take what is open (n,) into account."""
        self.open = {row: weight for row, weight in self._weights.items() if allowed[row]}
        self.mass = sum(self.open.values())

    def close(self, row: int) -> float | None:
        """Close a row; return how probable it was to be drawn from here, None where it was not open."""
        weight = self.open.pop(row, None)
        if weight is None:
            return None
        found = self.share * weight / self.mass
        # Without rows nothing is left: a rest from rounding must not count as something to draw from.
        self.mass = self.mass - weight if self.open else 0.0
        return found

    def draw(self, place: float) -> int:
        """Return the row at a place in [0, 1) of the open rows' weights.

        Among all rows it is found at once. Where it falls on a closed one, the place inside of that is as even as the
        first was, and is tried next.
        """
        reach = self._reach
        for _ in range(_TRIES):
            at = place * reach[-1]
            found = bisect_right(reach, at, 0, len(reach) - 1)
            row = self._rows[found]
            if row in self.open:
                return row
            before = reach[found - 1] if found else 0.0
            place = (at - before) / (reach[found] - before)
        left = place * self.mass
        for row, weight in self.open.items():  # noqa: B007
            left -= weight
            if left < 0:
                break
        return row


class PoolDraws:
    """Pools under what is open, each with its share of the slots; one lends its share while nothing of it is open.

    `epsilon`: how probable it is that a slot is drawn. `size`: how many rows can be.
    """

    def __init__(self, pools: list[Pool]) -> None:
        """Draw from `pools`; nothing is open before `restrict`."""
        self._pools = pools
        self._standing: list[Pool] = []
        self._shared = 0
        self.epsilon = 0.0
        self.size = 0

    def copy(self) -> Self:
        """Return the same pools, to be drawn from by themselves."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._pools = [pool.copy() for pool in self._pools]
        twin._standing = [pool for pool in twin._pools if pool.open]
        return twin

    def restrict(self, allowed: bytes) -> None:
        """Take what is open (n,) into account."""
        for pool in self._pools:
            pool.restrict(allowed)
        self._shared = len(set.intersection(*(set(pool.open) for pool in self._pools))) if len(self._pools) > 1 else 0
        self._count()

    def close(self, row: int) -> float:
        """Close a row; return how probable it was to be drawn: ε q(i)."""
        found, holding = 0.0, 0
        for pool in self._standing:
            chance = pool.close(row)
            if chance is not None:
                found += chance
                holding += 1
        if holding:
            self.size -= 1
            self._shared -= holding > 1
            if 0.0 in [pool.mass for pool in self._standing]:
                self._count()
        return found

    def draw(self, chance: float, place: float) -> int:
        """Return the row that is drawn: by a number below `epsilon` the pool, by one in [0, 1) the row in it."""
        # Which pool is drawn from goes by the same number as whether any is: below ε it is even.
        for pool in self._standing[:-1]:
            if chance < pool.share:
                return pool.draw(place)
            chance -= pool.share
        return self._standing[-1].draw(place)

    def _count(self) -> None:
        self._standing = [pool for pool in self._pools if pool.open]
        self.epsilon = sum([pool.share for pool in self._standing])
        self.size = sum([len(pool.open) for pool in self._standing]) - self._shared

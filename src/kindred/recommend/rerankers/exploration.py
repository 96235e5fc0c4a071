"""Exploration: the one stochastic stage, last."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask
from kindred.core.query import Query
from kindred.core.rng import seeded
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.pools import NEW, SERENDIPITY
from kindred.recommend.rerankers.constraints import Constraints, say_short
from kindred.recommend.world import World

EPSILON, POOL_SIZE, PINNED = "slot.epsilon", "slot.pool", "slot.pinned"


class Chosen(NamedTuple):
    """One slot: the row, its probability there, the probability of a draw, from how many, and by which means."""

    row: int
    propensity: float
    epsilon: float = 0.0
    pool: int = 0
    pinned: bool = False
    explored: bool = False


@dataclass(frozen=True, slots=True)
class Exploration:
    """At each slot, with probability ε, shows an item drawn from the pools instead of the best one left.

    The propensity of the shown item i at a slot, after those before it, is `(1 − ε)[i is the best left] + ε q(i)`. Each
    pool has a share of ε and lends it while the constraints leave anything of it open; within a pool the draw goes by
    its weights. A pinned slot is certain.
    """

    world: World
    name: str = "exploration"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes: without a share of slots to draw it still fills them as the constraints allow."""
        return True

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the slate's rows, the probability of each choice, and columns that say how it was made."""
        constraints = Constraints.of(self.world, query, candidates.items)
        pools = _Pools(candidates, query.params.exploration, self.world.config.serendipity)
        chances = seeded("exploration", query.seed).random((query.count, 2)).tolist()
        slots: list[Chosen] = []
        for chance, place in chances:
            slot = _choose(constraints, pools, chance, place)
            if slot is None:
                break
            slots.append(slot)
            pools.take(slot.row)
            constraints.take(slot.row)
        say_short(query, constraints, len(slots), len(candidates))
        if query.params.exploration > 0:
            query.scratch["policy"] = self.world.config.exploration_policy
        columns = {
            EPSILON: np.array([slot.epsilon for slot in slots], np.float32),
            POOL_SIZE: np.array([slot.pool for slot in slots], np.float32),
            PINNED: np.array([slot.pinned for slot in slots], np.float32),
        }
        detail = {
            "epsilons": [round(slot.epsilon, 4) for slot in slots],
            "pools": [slot.pool for slot in slots],
            "explored": [place for place, slot in enumerate(slots) if slot.explored],
            "pinned": [place for place, slot in enumerate(slots) if slot.pinned],
            "seed": query.seed,
        }
        rows = np.array([slot.row for slot in slots], np.intp)
        return Order(rows, np.array([slot.propensity for slot in slots], np.float32), detail, columns)


def _choose(constraints: Constraints, pools: "_Pools", chance: float, place: float) -> Chosen | None:
    """Fill the present slot by two numbers in [0, 1): whether and from which pool to draw, and which of its rows."""
    pinned = constraints.due()
    if pinned is not None:
        return Chosen(pinned, 1.0, pinned=True)
    allowed = constraints.open
    best = int(allowed.argmax()) if len(allowed) else 0
    if not len(allowed) or not allowed[best]:
        return None
    pools.restrict(allowed, constraints.changes)
    drawn = pools.draw(chance, place)
    row = best if drawn is None else drawn
    propensity = (1.0 - pools.epsilon if row == best else 0.0) + pools.probability(row)
    return Chosen(row, min(propensity, 1.0), pools.epsilon, pools.size, False, drawn is not None)


class _Pool:
    """One pool: its rows with their weights, and those of them that are open."""

    def __init__(self, weights: Floats, share: float) -> None:
        self.share = share
        self._rows = np.flatnonzero(weights > 0)
        self._weights: list[float] = weights[self._rows].astype(np.float64).tolist()
        self.open: dict[int, float] = {}
        self.mass = 0.0

    def restrict(self, allowed: Mask) -> None:
        """Take what is open (n,) into account."""
        inside = allowed[self._rows].tolist()
        rows = zip(self._rows.tolist(), self._weights, inside, strict=True)
        self.open = {row: weight for row, weight, there in rows if there}
        self.mass = sum(self.open.values())

    def take(self, row: int) -> None:
        """Close a row."""
        weight = self.open.pop(row, None)
        if weight is not None:
            # Without rows nothing is left: a rest from rounding must not count as something to draw from.
            self.mass = self.mass - weight if self.open else 0.0

    def probability(self, row: int) -> float:
        """Return the probability that a row is drawn at a slot, from this pool."""
        weight = self.open.get(row)
        return 0.0 if weight is None else self.share * weight / self.mass

    def draw(self, place: float) -> int:
        """Return the row at a place in [0, 1) of the open rows' weights."""
        left, row = place * self.mass, -1
        for row, weight in self.open.items():  # noqa: B007
            left -= weight
            if left < 0:
                break
        return row


class _Pools:
    """The pools under what is open, each with its share of the slots."""

    def __init__(self, candidates: Candidates, exploration: float, serendipity: float) -> None:
        shares = {NEW: exploration * (1 - serendipity), SERENDIPITY: exploration * serendipity}
        self._pools = [_Pool(candidates.column(name, 0.0), share) for name, share in shares.items() if share > 0]
        self._seen = -1
        self._open: list[_Pool] = []
        self.epsilon = 0.0
        self.size = 0

    def restrict(self, allowed: Mask, changes: int) -> None:
        """Take what is open (n,) into account: closed groups, for rows that were taken are closed already."""
        if changes != self._seen:
            self._seen = changes
            for pool in self._pools:
                pool.restrict(allowed)
            self._count()

    def take(self, row: int) -> None:
        """Close a row."""
        if any(row in pool.open for pool in self._open):
            for pool in self._open:
                pool.take(row)
            self._count()

    def probability(self, row: int) -> float:
        """Return the probability that a row is drawn: ε q(i)."""
        return sum(pool.probability(row) for pool in self._open)

    def draw(self, chance: float, place: float) -> int | None:
        """Return the row that is drawn, or None where the best one left stands."""
        if chance >= self.epsilon:
            return None
        # Which pool is drawn from goes by the same number as whether any is: below ε it is even.
        for pool in self._open[:-1]:
            if chance < pool.share:
                return pool.draw(place)
            chance -= pool.share
        return self._open[-1].draw(place)

    def _count(self) -> None:
        self._open = [pool for pool in self._pools if pool.open]
        self.epsilon = sum(pool.share for pool in self._open)
        rows = [pool.open.keys() for pool in self._open]
        self.size = len(rows[0] | rows[1]) if len(rows) > 1 else sum(map(len, rows))

"""Exploration: the one stochastic stage, last."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Mask
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
            constraints.take(slot.row)
            pools.changed = pools.changed or pools.holds(slot.row)
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
    return Chosen(row, min(propensity, 1.0), pools.epsilon, pools.size, explored=drawn is not None)


class _Pools:
    """The pools under what is open, each with its share of the slots."""

    def __init__(self, candidates: Candidates, exploration: float, serendipity: float) -> None:
        weights = np.stack([candidates.column(NEW, 0.0), candidates.column(SERENDIPITY, 0.0)]).astype(np.float64)
        self._weights: NDArray[np.float64] = weights
        self._shares = np.array([exploration * (1 - serendipity), exploration * serendipity])
        self._members: Mask = weights.sum(axis=0) > 0
        self._seen = -1
        self._q = weights
        self.changed = True
        self.epsilon = 0.0
        self.size = 0

    def holds(self, row: int) -> bool:
        """Say whether a row can be drawn at all."""
        return bool(self._members[row])

    def restrict(self, allowed: Mask, changes: int) -> None:
        """Take what is open (n,) into account; nothing to do unless a row of a pool, or a group, was closed since."""
        if not self.changed and changes == self._seen:
            return
        self.changed, self._seen = False, changes
        held = self._weights * allowed
        masses = held.sum(axis=1)
        shares = np.where(masses > 0, self._shares, 0.0)
        self._q = held * np.divide(shares, masses, out=np.zeros(2), where=masses > 0)[:, None]
        self.epsilon = float(shares.sum())
        self.size = int(np.count_nonzero(held.any(axis=0)))

    def probability(self, row: int) -> float:
        """Return the probability that a row is drawn: ε q(i)."""
        return float(self._q[0, row] + self._q[1, row])

    def draw(self, chance: float, place: float) -> int | None:
        """Return the row that is drawn, or None where the best one left stands."""
        if chance >= self.epsilon:
            return None
        odds = np.cumsum(self._q[0] + self._q[1])
        # Rounding must not let the last row, which may be closed, be drawn by a place beyond the end.
        return int(np.searchsorted(odds, min(place * odds[-1], np.nextafter(odds[-1], 0)), side="right"))

"""Exploration: the one stochastic stage, last."""

from dataclasses import dataclass, field

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Query
from kindred.core.rng import uniforms
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.pools import NEW, SERENDIPITY
from kindred.recommend.rerankers.constraints import Constraints, say_short
from kindred.recommend.rerankers.pool_draws import Pool, PoolDraws
from kindred.recommend.world import World

EPSILON, POOL_SIZE, PINNED = "slot.epsilon", "slot.pool", "slot.pinned"
DECK = "deck"
"""Under this name a query's scratch holds what its slots are drawn from."""


@dataclass(frozen=True, slots=True)
class Deck:
    """What slates of some candidates are drawn from, before the first slot: each slate begins with a copy."""

    candidates: Candidates
    count: int
    constraints: Constraints
    pools: PoolDraws

    @classmethod
    def of(cls, world: World, query: Query, candidates: Candidates) -> "Deck":
        """Work out what a request asks of candidates."""
        exploration, serendipity = query.params.exploration, world.config.serendipity
        shares = {NEW: exploration * (1 - serendipity), SERENDIPITY: exploration * serendipity}
        pools = PoolDraws([Pool(candidates.column(name, 0.0), share) for name, share in shares.items() if share > 0])
        constraints = Constraints.of(world, query, candidates.items)
        pools.restrict(constraints.open.tobytes())
        return cls(candidates, query.count, constraints, pools)


@dataclass(slots=True)
class Slots:
    """The slots of a slate so far: each one's row, its probability there, that of a draw, and from how many rows.

    `pinned` and `explored` are the slots, from 0, that a rule filled, and a draw.
    """

    rows: list[int] = field(default_factory=list)
    propensities: list[float] = field(default_factory=list)
    epsilons: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    pinned: list[int] = field(default_factory=list)
    explored: list[int] = field(default_factory=list)

    def add(self, row: int, propensity: float, epsilon: float, size: int) -> None:
        """Fill the next slot."""
        self.rows.append(row)
        self.propensities.append(propensity)
        self.epsilons.append(epsilon)
        self.sizes.append(size)


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
        """Return the slate's rows, the probability of each choice, and columns that say how it was made.

        What they are drawn from is kept in the query's scratch, and taken from there for the same candidates.
        """
        deck: Deck | None = query.scratch.get(DECK)
        if deck is None or deck.candidates is not candidates or deck.count != query.count:
            deck = query.scratch[DECK] = Deck.of(self.world, query, candidates)
        constraints, slots = deck.constraints.copy(), Slots()
        _fill(slots, constraints, deck.pools.copy(), uniforms(2 * query.count, "exploration", query.seed))
        say_short(query, constraints, len(slots.rows), len(candidates))
        if query.params.exploration > 0:
            query.scratch["policy"] = self.world.config.exploration_policy
        pinned = np.zeros(len(slots.rows), np.float32)
        pinned[slots.pinned] = 1
        columns = {
            EPSILON: np.array(slots.epsilons, np.float32),
            POOL_SIZE: np.array(slots.sizes, np.float32),
            PINNED: pinned,
        }
        detail = {
            "epsilons": slots.epsilons,
            "pools": slots.sizes,
            "explored": slots.explored,
            "pinned": slots.pinned,
            "seed": query.seed,
        }
        return Order(np.array(slots.rows, np.intp), np.array(slots.propensities, np.float32), detail, columns)


def _fill(slots: Slots, constraints: Constraints, pools: PoolDraws, numbers: list[float]) -> None:
    """Fill slots by two numbers in [0, 1) each: whether and from which pool to draw, and which of its rows."""
    changes = constraints.changes
    for slot, (chance, place) in enumerate(zip(numbers[::2], numbers[1::2], strict=True)):
        row = constraints.due()
        if row is not None:
            slots.pinned.append(slot)
            slots.add(row, 1.0, 0.0, 0)
        else:
            row = best = constraints.first()
            if best < 0:
                return
            if changes != constraints.changes:
                changes = constraints.changes
                pools.restrict(constraints.open.tobytes())
            epsilon, size = pools.epsilon, pools.size
            if chance < epsilon:
                slots.explored.append(slot)
                row = pools.draw(chance, place)
            propensity = (1.0 - epsilon if row == best else 0.0) + pools.close(row)
            slots.add(row, min(propensity, 1.0), epsilon, size)
        constraints.take(row)

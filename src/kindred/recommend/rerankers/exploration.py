"""Exploration: the one stochastic stage, last."""

from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Query
from kindred.core.rng import seeded
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class Exploration:
    """At each slot, with probability ε, shows a new item instead of the best one left.

    The propensity of the shown item i at a slot is `(1 − ε)[i is the best left] + ε q(i)`, with q uniform over the new
    items left (none left: ε is 0). A category's cap binds here too.
    """

    world: World
    name: str = "exploration"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say whether any slot is to be explored."""
        return query.params.exploration > 0

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the slate's rows and the probability of each choice."""
        rng = seeded("exploration", query.seed)
        pool = set(np.flatnonzero(~np.isnan(candidates.column("raw.new"))).tolist())
        greedy = list(range(len(candidates)))
        detail = {"epsilon": query.params.exploration, "pool": len(pool), "seed": query.seed}
        explored: list[int] = []
        index: list[int] = []
        propensity: list[float] = []
        while len(index) < query.count and greedy:
            epsilon = query.params.exploration if pool else 0.0
            choice = greedy[0]
            if rng.random() < epsilon:
                choice = sorted(pool)[int(rng.integers(len(pool)))]
                explored.append(len(index))
            best = 1.0 - epsilon if choice == greedy[0] else 0.0
            drawn = epsilon / len(pool) if choice in pool else 0.0
            index.append(choice)
            propensity.append(best + drawn)
            greedy.remove(choice)
            pool.discard(choice)
        return Order(np.array(index, np.intp), np.array(propensity, np.float32), {**detail, "explored": explored})

"""Exploration: the one stochastic stage, last."""

from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Query
from kindred.core.rng import seeded
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.rerankers.caps import Capped, category_cap
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class Exploration:
    """At each slot, with probability ε, shows a new item instead of the best one left.

    The propensity of the shown item i at a slot is `(1 − ε)[i is the best left] + ε q(i)`, with q uniform over the new
    items left (none left: ε is 0). The best left and the draw both stand under the category's cap.
    """

    world: World
    name: str = "exploration"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say whether any slot is to be explored."""
        return query.params.exploration > 0

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the slate's rows and the probability of each choice."""
        new = ~np.isnan(candidates.column("raw.new"))
        if not new.any():
            shown = np.arange(min(query.count, len(candidates)))
            return Order(shown, np.ones(len(shown), np.float32), {"epsilon": 0.0, "pool": 0, "explored": []})
        rng = seeded("exploration", query.seed)
        rows = Capped(self.world.table.primary[candidates.items], category_cap(query))
        detail = {"epsilon": query.params.exploration, "pool": int(new.sum()), "seed": query.seed}
        explored: list[int] = []
        index: list[int] = []
        propensity: list[float] = []
        for slot in range(min(query.count, len(candidates))):
            choices = rows.choices()
            best = choice = int(choices.argmax())
            pool = np.flatnonzero(choices & new)
            epsilon = query.params.exploration if len(pool) else 0.0
            if rng.random() < epsilon:
                choice = int(pool[rng.integers(len(pool))])
                explored.append(slot)
            drawn = epsilon / len(pool) if epsilon and new[choice] else 0.0
            index.append(choice)
            propensity.append(min((1.0 - epsilon if choice == best else 0.0) + drawn, 1.0))
            rows.take(choice)
        return Order(np.array(index, np.intp), np.array(propensity, np.float32), {**detail, "explored": explored})

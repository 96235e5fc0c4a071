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
        rows = _Rows(self.world.table.primary[candidates.items].tolist(), np.flatnonzero(new).tolist(), query)
        detail = {"epsilon": query.params.exploration, "pool": int(new.sum()), "seed": query.seed}
        explored: list[int] = []
        index: list[int] = []
        propensity: list[float] = []
        for slot in range(min(query.count, len(candidates))):
            pool = rows.pool
            best = choice = rows.best()
            epsilon = query.params.exploration if pool else 0.0
            if rng.random() < epsilon:
                choice = pool[int(rng.integers(len(pool)))]
                explored.append(slot)
            drawn = epsilon / len(pool) if epsilon and new[choice] else 0.0
            index.append(choice)
            propensity.append(min((1.0 - epsilon if choice == best else 0.0) + drawn, 1.0))
            rows.take(choice)
        return Order(np.array(index, np.intp), np.array(propensity, np.float32), {**detail, "explored": explored})


class _Rows:
    """The rows left, in order, and the new ones among those that the cap leaves open (`pool`)."""

    def __init__(self, groups: list[int], new: list[int], query: Query) -> None:
        self._groups = groups
        self._shares = Capped(category_cap(query))
        self._left = dict.fromkeys(range(len(groups)))
        self._new = new
        self._capped = True
        self.pool = list(new)

    def best(self) -> int:
        """Return the first open row."""
        return next(row for row in self._left if self._open(row))

    def take(self, row: int) -> None:
        """Choose a row."""
        del self._left[row]
        filled = self._shares.take(self._groups[row])
        emptied = self._capped and not any(map(self._open, self._left))
        if emptied:
            # Only full groups are left: they may fill the slate.
            self._capped = False
        if filled or emptied:
            self.pool = [each for each in self._new if each in self._left and self._open(each)]
        elif row in self.pool:
            self.pool.remove(row)

    def _open(self, row: int) -> bool:
        return not self._capped or not self._shares.full(self._groups[row])

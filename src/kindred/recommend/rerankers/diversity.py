"""The order of a slate by relevance and difference, before anything is drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.pools import needed
from kindred.recommend.rerankers.bubble import raised, spread_of
from kindred.recommend.rerankers.constraints import Constraints, first_rows, pinned_rows, say_short, slots_per_category
from kindred.recommend.rerankers.greedy import Dpp, Gains, Mmr, Relevance, greedy
from kindred.recommend.world import World

RESERVE = 2
POOL = 4


@dataclass(frozen=True, slots=True)
class Diversity:
    """Orders by relevance and difference, under the request's constraints.

    Behind the slate stands, where slots are explored, a reserve by score, deep enough to fill it whatever is drawn,
    then every item that exploration draws from.
    """

    world: World
    name: str = "diversity"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the slate with its reserve, in order; every propensity is 1."""
        count, most = query.count, slots_per_category(query, self.world.table.primaries)
        groups = self.world.table.primary[candidates.items]
        pool = first_rows(groups, POOL * most, POOL * RESERVE * count)
        pins = pinned_rows(query, candidates.items)
        pool = np.union1d(pool, list(pins.values())).astype(np.intp) if pins else pool
        constraints = Constraints.of(self.world, query, candidates.items[pool])
        spread = spread_of(self.world, query)
        diversity = raised(query.params.diversity, spread, self.world.config.min_entropy)
        gains = self._gains(query, candidates.items[pool], candidates.column("score", 0.0)[pool], diversity)
        chosen = pool[greedy(gains, constraints, count)]
        say_short(query, constraints, len(chosen), len(candidates))
        detail = {"reranker": query.params.reranker, "diversity": diversity, "category_cap": most}
        if spread is not None:
            detail["spread"] = spread
        # Where no stage behind this one fills the slots, rows behind the slate would be shown over a cap.
        alone = "exploration" in query.params.disabled
        index = np.concatenate([chosen, *([] if alone else self._reserve(query, candidates, chosen))])
        return Order(index, np.ones(len(index), np.float32), detail)

    def _reserve(self, query: Query, candidates: Candidates, chosen: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Return the rows that may take the place of chosen ones: by score, then those that can be drawn.

        Of each category as many as one slate may hold, so that something open is left whatever is drawn.
        """
        groups, left = self.world.table.primary[candidates.items], np.ones(len(candidates), np.bool_)
        left[chosen] = False
        rest = np.flatnonzero(left)
        most = slots_per_category(query, self.world.table.primaries)
        reserve = rest[first_rows(groups[rest], most, RESERVE * query.count)]
        left[reserve] = False
        return [reserve, np.flatnonzero(left & needed(candidates))]

    def _gains(self, query: Query, items: Ordinals, scores: Floats, diversity: float) -> Gains:
        if diversity <= 0:
            return Relevance(scores)
        kind = Dpp if query.params.reranker == "dpp" else Mmr
        return kind(scores, self.world.content_vectors(items), diversity)

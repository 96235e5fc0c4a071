"""Maximal marginal relevance under a cap per category."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.rerankers.caps import Capped, category_cap
from kindred.recommend.world import World

RESERVE = 2
POOL = 4


@dataclass(frozen=True, slots=True)
class Diversity:
    """Orders by relevance and difference (MMR, Carbonell and Goldstein 1998), no category over its share of the slate.

    Behind the slate stands a reserve by score, then every new item, which exploration draws from.
    """

    world: World
    name: str = "diversity"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the slate with its reserve, in order; every propensity is 1."""
        diversity, cap = query.params.diversity, category_cap(query)
        groups = self.world.table.primary[candidates.items]
        pool = mmr_pool(groups, cap, POOL * RESERVE * query.count)
        scores = candidates.column("score", 0.0)[pool]
        vectors = self.world.content_vectors(candidates.items[pool]) if diversity > 0 else None
        chosen = pool[mmr_order(scores, vectors, groups[pool], diversity, cap, query.count)]
        left = np.ones(len(candidates), np.bool_)
        left[chosen] = False
        reserve = np.flatnonzero(left)[: (RESERVE - 1) * query.count]
        left[reserve] = False
        new = np.flatnonzero(left & ~np.isnan(candidates.column("raw.new")))
        index = np.concatenate([chosen, reserve, new])
        return Order(index, np.ones(len(index), np.float32), {"diversity": diversity, "category_cap": cap})


def mmr_pool(groups: Ordinals, cap: int, size: int) -> NDArray[np.intp]:
    """Return the first `size` rows, ascending, no group with more than `POOL` times its cap.

    However many rows of one category come first, the others are there to fill the slate.
    """
    if len(groups) <= size:
        return np.arange(len(groups))
    if int(np.bincount(groups[:size] + 1)[1:].max(initial=0)) <= POOL * cap:
        return np.arange(size)
    by_group = np.argsort(groups, kind="stable")
    ordered = groups[by_group]
    within = np.empty(len(groups), np.intp)
    within[by_group] = np.arange(len(groups)) - np.searchsorted(ordered, ordered)
    return np.flatnonzero((within < POOL * cap) | (groups < 0))[:size]


def mmr_order(
    scores: Floats, vectors: Floats | None, groups: Ordinals, diversity: float, cap: int, wanted: int
) -> NDArray[np.intp]:
    """Choose `wanted` rows greedily by `(1 - diversity) * score - diversity * highest cosine to those chosen`.

    `scores (n,)` in [0, 1], `vectors (n, d)` of length 1 (None: no cosines), `groups (n,)` with -1 for none. A group
    stands at most `cap` times while another row is left; ties go to the earlier row.
    """
    shares = Capped(cap)
    relevance = ((1 - diversity) * scores).astype(np.float32)
    open_relevance = relevance.copy()
    penalty = np.zeros(len(scores), np.float32)
    near = None if vectors is None else vectors * np.float32(diversity)
    chosen: list[int] = []
    for _ in range(min(wanted, len(scores))):
        row = int((open_relevance - penalty).argmax())
        if open_relevance[row] == -np.inf:
            # Only full groups are left: they compete again, without a cap.
            open_relevance = relevance.copy()
            open_relevance[chosen] = -np.inf
            row = int((open_relevance - penalty).argmax())
        chosen.append(row)
        open_relevance[row] = -np.inf
        if shares.take(int(groups[row])):
            open_relevance[groups == groups[row]] = -np.inf
        if vectors is not None and near is not None:
            np.maximum(penalty, near @ vectors[row], out=penalty)
    return np.array(chosen, np.intp)

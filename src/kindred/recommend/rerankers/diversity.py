"""Maximal marginal relevance under a cap per category."""

from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask, Ordinals
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.world import World

RESERVE = 2.0
POOL = 4


@dataclass(frozen=True, slots=True)
class Diversity:
    """Orders by relevance and difference (MMR, Carbonell and Goldstein 1998), no category over its share of the slate.

    A request that asks for one category is not capped.
    """

    world: World
    name: str = "diversity"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the slate with a reserve, in order; every propensity is 1."""
        wanted = min(len(candidates), int(query.count * RESERVE))
        pool = np.arange(min(len(candidates), POOL * wanted))
        scores = candidates.column("score", 0.0)[pool]
        primary = self.world.table.primary[candidates.items[pool]]
        cap = self._cap(query)
        if query.params.diversity <= 0:
            index = capped_order(primary, cap, query.count, wanted)
        else:
            vectors = self.world.content_vectors(candidates.items[pool])
            index = mmr_order(scores, vectors, primary, query.params.diversity, cap, query.count, wanted)
        detail = {"diversity": query.params.diversity, "category_cap": cap}
        return Order(pool[index], np.ones(len(index), np.float32), detail)

    def _cap(self, query: Query) -> int:
        if query.filters.categories or query.params.category_cap >= 1:
            return query.count
        return max(1, int(query.params.category_cap * query.count))


def mmr_order(
    scores: Floats, vectors: Floats, groups: Ordinals, diversity: float, cap: int, slate: int, wanted: int
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Choose `wanted` rows greedily by `(1 - diversity) * score - diversity * highest cosine to those chosen`.

    `scores (n,)` in [0, 1], `vectors (n, d)` of length 1, `groups (n,)` with -1 for none. Within the first `slate`
    choices a group stands at most `cap` times while another row is left; ties go to the earlier row.
    """
    left = np.ones(len(scores), np.bool_)
    nearest = np.zeros(len(scores), np.float32)
    chosen: list[int] = []
    counts: dict[int, int] = {}
    while len(chosen) < wanted and left.any():
        open_rows = _open(left, groups, counts, cap) if len(chosen) < slate else left
        if not open_rows.any():
            break
        value = (1 - diversity) * scores - diversity * np.maximum(nearest, 0)
        row = int(np.argmax(np.where(open_rows, value, -np.inf)))
        chosen.append(row)
        left[row] = False
        counts[int(groups[row])] = counts.get(int(groups[row]), 0) + 1
        nearest = np.maximum(nearest, vectors @ vectors[row])
    return np.array(chosen, np.intp)


def capped_order(groups: Ordinals, cap: int, slate: int, wanted: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return `wanted` rows in order, leaving out of the first `slate` what is over the cap of its group."""
    counts: dict[int, int] = {}
    first: list[int] = []
    rest: list[int] = []
    for row, group in enumerate(groups.tolist()):
        full = group >= 0 and counts.get(group, 0) >= cap
        if len(first) < slate and not full:
            counts[group] = counts.get(group, 0) + 1
            first.append(row)
        else:
            rest.append(row)
    return np.array((first + rest if len(first) == slate else first)[:wanted], np.intp)


def _open(left: Mask, groups: Ordinals, counts: dict[int, int], cap: int) -> Mask:
    full = [group for group, count in counts.items() if group >= 0 and count >= cap]
    return left & ~np.isin(groups, full) if full else left

"""What exploration draws from: new and uncertain items, and relevant ones unlike what the user knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask
from kindred.core.query import Query
from kindred.core.rng import seeded
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.placement_rules import PROMOTED
from kindred.recommend.posteriors import chance_spent, choice_frequencies, posterior, promising
from kindred.recommend.world import World

NEW, SERENDIPITY = "pool.new", "pool.serendipity"
EXPLOIT = 200
_SAMPLE = 100_000


@dataclass(frozen=True, slots=True)
class Pools:
    """Says how each candidate would be drawn: columns `pool.new` and `pool.serendipity`, each adding up to 1.

    New and uncertain: proposed as new, or of fewer users than `cold_item`, and shown fewer times than an item's chance
    lasts. Serendipity: of the exploit list, the best 200 by score, those at its median or above, in the lowest quartile
    of likeness to the history by content, and outside the most popular tenth of the catalogue; none without a history.
    """

    world: World
    name: str = "pools"
    policy: FailPolicy = FailPolicy.OPEN
    most_popular: float = field(init=False)

    def __post_init__(self) -> None:
        """Find out, of a sample, how many users an item of the catalogue's most popular tenth has at least."""
        counts = self.world.models.popularity.user_counts
        sample = counts[:: len(counts) // _SAMPLE + 1]
        object.__setattr__(self, "most_popular", float(np.quantile(sample, 0.9)) if len(sample) else 0.0)

    def enabled(self, query: Query) -> bool:
        """Say whether anything is to be drawn."""
        return query.params.exploration > 0

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return the probability of each row (n,) within a pool, 0 outside."""
        unsure = self._uncertain(candidates)
        weights = unsure.astype(np.float32)
        if self.world.config.exploration_policy == "thompson" and unsure.any():
            rng = seeded("posteriors", query.seed)
            weights[unsure] = choice_frequencies(*posterior(candidates.take(unsure)), rng)
        unlike = self._serendipitous(query, candidates).astype(np.float32)
        return {NEW: weights / max(float(weights.sum()), 1e-9), SERENDIPITY: unlike / max(float(unlike.sum()), 1e-9)}

    def _uncertain(self, candidates: Candidates) -> Mask:
        new = ~np.isnan(candidates.column("raw.new"))
        little = self.world.evidence(candidates.items) < self.world.config.cold_item
        found: Mask = (new | little) & ~chance_spent(candidates, self.world.config.exploration_exposures)
        return found

    def _serendipitous(self, query: Query, candidates: Candidates) -> Mask:
        if not len(query.facts.history) or not len(candidates):
            return np.zeros(len(candidates), np.bool_)
        scores, likeness = candidates.column("score", 0.0), candidates.column("model.content", 0.0)
        exploited = np.sort(scores)[-EXPLOIT:]
        users = self.world.evidence(candidates.items)
        found: Mask = scores >= quantile(exploited, 0.5)
        found &= likeness <= quantile(np.sort(likeness), 0.25)
        found &= users <= self.most_popular
        return found


@dataclass(frozen=True, slots=True)
class Retired:
    """Leaves out items that had their chance, did worse than is usual, and have nothing but being new for them."""

    world: World
    name: str = "retired"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether new items are being tried."""
        return query.params.exploration > 0

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        """Return which rows (n,) stay."""
        others = [name for name in candidates.columns if name.startswith("raw.") and name != "raw.new"]
        known = np.logical_or.reduce([~np.isnan(candidates.columns[name]) for name in others], axis=0)
        spent = chance_spent(candidates, self.world.config.exploration_exposures)
        found: Mask = known | ~spent | promising(candidates)
        return found


def quantile(ordered: Floats, share: float) -> np.float32:
    """Return the value below which a share of ascending ones (n,), at least one, lie: linear between two of them."""
    # The library's own takes ten times as long for a few hundred values, and gives the same.
    low, part = divmod(share * (len(ordered) - 1), 1.0)
    above = ordered[min(int(low) + 1, len(ordered) - 1)]
    return np.float32(ordered[int(low)] + (above - ordered[int(low)]) * np.float32(part))


def needed(candidates: Candidates) -> Mask:
    """Return which rows (n,) the slots may need whatever their score: what can be drawn, and what rules ask for."""
    found: Mask = (candidates.column(NEW, 0.0) > 0) | (candidates.column(SERENDIPITY, 0.0) > 0)
    return found | ~np.isnan(candidates.column(PROMOTED))

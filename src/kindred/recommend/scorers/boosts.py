"""Boosts: what a request raises or lowers by itself, behind everything that was learned."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.where.passing import passing


@dataclass(frozen=True, slots=True)
class Boosts:
    """Multiplies the final score of each candidate by the factors of all expressions that let it through."""

    name: str = "boosts"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether the request boosts anything."""
        return bool(query.params.boosts)

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score`, the best one at most 1, and `boost`, the product of the factors."""
        boost = np.ones(len(candidates), np.float32)
        for each in query.params.boosts:
            boost[passing(query, each.where).bits.has(candidates.items)] *= each.factor
        raised = candidates.column("score", 0.0) * boost
        # Diversity weighs scores on a scale from 0 to 1.
        return {"score": raised / max(1.0, float(np.nanmax(raised, initial=0.0))), "boost": boost}

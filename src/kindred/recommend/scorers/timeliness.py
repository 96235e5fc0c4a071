"""What is fresh, and what is in season, counts more: boosts of the final score, off unless a setting asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.clock import DAY
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.world import World

MONTH = "times.month"
FRESH_DAYS = 30.0
_MOST = 4.0


@dataclass(frozen=True, slots=True)
class Timeliness:
    """Multiplies each score by `1 + freshness * exp(-age / 30 days)` and by its month's share to the power of `season`.

    The month's share is how much more than in an average month happened to the item in months like this one, between
    1/4 and 4. An item without a date is not fresh, and one of which little is known has no season.
    """

    world: World
    name: str = "timeliness"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether either counts."""
        return self.world.config.freshness > 0 or self.world.config.season > 0

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score`, scaled down where it would be above 1, and `times.factor`."""
        config = self.world.config
        created = self.world.table.created[candidates.items]
        days = np.maximum(query.context.time - created, 0) / DAY
        fresh = np.where(created > 0, np.exp(-days / FRESH_DAYS), 0.0)
        month = np.clip(np.nan_to_num(candidates.column(MONTH, 1.0), nan=1.0), 1 / _MOST, _MOST)
        factor = ((1 + config.freshness * fresh) * month**config.season).astype(np.float32)
        score = candidates.column("score", 0.0) * factor
        return {"score": score / max(float(score.max(initial=0)), 1.0), "times.factor": factor}

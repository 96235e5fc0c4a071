"""The final score: models blended by how much is known of the user and of each item."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.models.blend import blended, split_families
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.scorers.models import MODELS
from kindred.recommend.taste import COLD_ITEM, STANDARD, strategy
from kindred.recommend.world import World

ON_SCREEN_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights move smoothly from the cold-start rules to the standard ones with evidence n / (n + k)."""

    world: World
    name: str = "blend"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score` in [0, 1] and each model's part of it, `share.<name>`."""
        columns = {name: candidates.column(f"model.{name}", 0.0) for name in MODELS}
        weights = self.weights(query, candidates)
        total, parts = blended(columns, weights)
        on_screen = candidates.column("model.on_screen", 0.0)
        if on_screen.any():
            total = (1 - ON_SCREEN_WEIGHT) * total + ON_SCREEN_WEIGHT * on_screen
            parts = {name: (1 - ON_SCREEN_WEIGHT) * part for name, part in parts.items()}
            parts["on_screen"] = (ON_SCREEN_WEIGHT * on_screen).astype(np.float32)
        query.scratch["strategy"] = self._strategy(query, candidates, total)
        shares = {f"share.{name}": part.astype(np.float32) for name, part in parts.items()}
        return {"score": np.clip(total, 0, 1).astype(np.float32), **shares}

    def weights(self, query: Query, candidates: Candidates) -> dict[str, Floats]:
        """Return the weight of each model for each candidate (n,) float32; they sum to 1, less for cold items."""
        blend, n = self.world.models.blend, len(candidates)
        if query.params.weights:
            fixed = split_families(query.params.weights, blend.config)
            return {name: np.full(n, fixed[name], np.float32) for name in MODELS}
        cold_user = split_families(blend.config.cold_user, blend.config)
        cold_item = split_families(blend.config.cold_item, blend.config)
        k = max(self.world.config.evidence, 1e-6)
        user = query.facts.interactions / (query.facts.interactions + k)
        users = self.world.evidence(candidates.items).astype(np.float32)
        item = users / (users + np.float32(k))
        unknown = blend.config.cold_item_scale * (1 - item)
        return {
            name: (
                user * (item * blend.weights.get(name, 0.0) + unknown * cold_item[name]) + (1 - user) * cold_user[name]
            ).astype(np.float32)
            for name in MODELS
        }

    def _strategy(self, query: Query, candidates: Candidates, total: Floats) -> str:
        """Return the user's strategy, or that of cold items where most of the best candidates are."""
        found = strategy(self.world, query)
        evidence = self.world.evidence(candidates.items[np.argsort(-total, kind="stable")[: query.count]])
        cold = len(evidence) > 0 and float((evidence < self.world.config.cold_item).mean()) > 0.5
        return COLD_ITEM if found == STANDARD and cold else found

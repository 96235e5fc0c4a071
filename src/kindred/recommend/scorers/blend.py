"""The final score: models blended by how much is known of the user and of each item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.models.blend import split_families
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.session import fatigue, session_scores, session_share
from kindred.recommend.taste import COLD_ITEM, STANDARD, chosen_vector, strategy, user_evidence
from kindred.recommend.world import World

ON_SCREEN_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights move smoothly from the cold-start rules to the standard ones with evidence n / (n + k)."""

    world: World
    name: str = "blend"
    policy: FailPolicy = FailPolicy.CLOSED
    _standard: Floats = field(init=False, repr=False, compare=False)
    _cold_item: Floats = field(init=False, repr=False, compare=False)
    _cold_user: Floats = field(init=False, repr=False, compare=False)
    _chosen_user: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Split the weights of families among the bundle's models."""
        blend, names = self.world.models.blend, self.world.models.scored
        object.__setattr__(self, "_standard", _column(blend.weights, names))
        for rule in ("cold_item", "cold_user", "chosen_user"):
            split = split_families(getattr(blend.config, rule), blend.config, names)
            object.__setattr__(self, f"_{rule}", _column(split, names))

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score` in [0, 1] and each model's part of it, `share.<name>`."""
        names = self.world.models.scored
        columns = np.stack([candidates.column(f"model.{name}", 0.0) for name in names])
        parts = columns * self.weights(query, candidates)
        on_screen = candidates.column("model.on_screen", 0.0)
        if on_screen.any():
            parts = np.vstack([(1 - ON_SCREEN_WEIGHT) * parts, ON_SCREEN_WEIGHT * on_screen]).astype(np.float32)
            names = (*names, "on_screen")
        session = session_scores(self.world, query, candidates.items)
        if session is not None:
            part = session_share(self.world, query)
            parts = np.vstack([(1 - part) * parts, part * session]).astype(np.float32)
            names = (*names, "session")
        lessened = fatigue(self.world, query, candidates.items)
        if lessened is not None:
            parts *= lessened
        total = parts.sum(axis=0)
        query.scratch["strategy"] = self._strategy(query, candidates, total)
        shares = {f"share.{name}": part for name, part in zip(names, parts, strict=True)}
        return {"score": np.clip(total, 0, 1), **shares}

    def weights(self, query: Query, candidates: Candidates) -> Floats:
        """Return the weight of each scored model for each candidate (m, n) float32; they sum to 1, less for cold items.

        Weights that a placement fixes hold for all, unless they name nothing that the bundle has.
        """
        blend = self.world.models.blend
        if query.params.weights:
            names = self.world.models.scored
            fixed = _column(split_families(query.params.weights, blend.config, names), names)
            if fixed.any():
                return np.repeat(fixed, len(candidates), axis=1)
        k = np.float32(max(self.world.config.evidence, 1e-6))
        user = user_evidence(self.world, query)
        users = self.world.evidence(candidates.items).astype(np.float32)
        item = users / (users + k)
        unknown = np.float32(blend.config.cold_item_scale) * (1 - item)
        cold_user = self._chosen_user if chosen_vector(self.world, query).any() else self._cold_user
        return user * (self._standard * item + self._cold_item * unknown) + (1 - user) * cold_user

    def _strategy(self, query: Query, candidates: Candidates, total: Floats) -> str:
        """Return the user's strategy, or that of cold items where most of the best candidates are."""
        found = strategy(self.world, query)
        evidence = self.world.evidence(candidates.items[np.argsort(-total, kind="stable")[: query.count]])
        cold = len(evidence) > 0 and float((evidence < self.world.config.cold_item).mean()) > 0.5
        return COLD_ITEM if found == STANDARD and cold else found


def _column(weights: Mapping[str, float], names: Sequence[str]) -> Floats:
    """Return weights by model as a column (m, 1) float32 in the order of `names`."""
    return np.array([[weights.get(name, 0.0)] for name in names], np.float32)

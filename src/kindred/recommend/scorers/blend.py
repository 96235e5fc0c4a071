"""The final score: models blended by how much is known of the user and of each item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

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
class Weights:
    """A bundle's weights of its scored models, each (m,) float32, with the families split once."""

    standard: Floats
    cold_item: Floats
    cold_user: Floats
    chosen_user: Floats

    @classmethod
    def of(cls, world: World) -> Self:
        """Split the weights of families among the bundle's models."""
        blend = world.models.blend
        tables = (blend.config.cold_item, blend.config.cold_user, blend.config.chosen_user)
        return cls(_listed(world, blend.weights), *(_split(world, table) for table in tables))

    def of_user(self, world: World, query: Query) -> Floats:
        """Return the weights (m,) for this user and items with evidence."""
        fixed = fixed_weights(world, query)
        if fixed is not None:
            return fixed
        user = user_evidence(world, query)
        return user * self.standard + (1 - user) * self.without_evidence(world, query)

    def without_evidence(self, world: World, query: Query) -> Floats:
        """Return the weights (m,) for a user of whom nothing is known but, maybe, what they chose."""
        return self.chosen_user if chosen_vector(world, query).any() else self.cold_user


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights move smoothly from the cold-start rules to the standard ones, with the evidence on users and on items."""

    world: World
    name: str = "blend"
    policy: FailPolicy = FailPolicy.CLOSED
    _weights: Weights = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Split the weights once."""
        object.__setattr__(self, "_weights", Weights.of(self.world))

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
        fixed = fixed_weights(self.world, query)
        if fixed is not None:
            return np.repeat(fixed[:, None], len(candidates), axis=1)
        k = np.float32(max(self.world.config.evidence, 1e-6))
        user = user_evidence(self.world, query)
        users = self.world.evidence(candidates.items).astype(np.float32)
        item = users / (users + k)
        unknown = np.float32(self.world.models.blend.config.cold_item_scale) * (1 - item)
        standard, cold_item = self._weights.standard[:, None], self._weights.cold_item[:, None]
        cold_user = self._weights.without_evidence(self.world, query)[:, None]
        return user * (standard * item + cold_item * unknown) + (1 - user) * cold_user

    def _strategy(self, query: Query, candidates: Candidates, total: Floats) -> str:
        """Return the user's strategy, or that of cold items where most of the best candidates are."""
        found = strategy(self.world, query)
        evidence = self.world.evidence(candidates.items[np.argsort(-total, kind="stable")[: query.count]])
        cold = len(evidence) > 0 and float((evidence < self.world.config.cold_item).mean()) > 0.5
        return COLD_ITEM if found == STANDARD and cold else found


def fixed_weights(world: World, query: Query) -> Floats | None:
    """Return the weights (m,) float32 that the placement fixes, None where they name nothing that the bundle has."""
    found = _split(world, query.params.weights) if query.params.weights else None
    return found if found is not None and found.any() else None


def _split(world: World, families: Mapping[str, float]) -> Floats:
    return _listed(world, split_families(families, world.models.blend.config, world.models.scored))


def _listed(world: World, weights: Mapping[str, float]) -> Floats:
    """Return weights by model as (m,) float32 in the order of what is scored."""
    return np.array([weights.get(name, 0.0) for name in world.models.scored], np.float32)

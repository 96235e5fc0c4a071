"""Every model's opinion of every candidate, whichever source proposed it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask, Ordinals
from kindred.core.query import Query
from kindred.models.arrays import values_at
from kindred.models.blend import SEGMENT, normalised
from kindred.models.vectors import score_vectors
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.model_set import CONTENT
from kindred.recommend.placement_rules import PROMOTED
from kindred.recommend.scorers.blend import Weights
from kindred.recommend.sources.lists import country_of
from kindred.recommend.taste import content_profile, represented, segments_of, spread, trend
from kindred.recommend.world import World

# A model that the blend gives nothing still keeps its best candidates in, for users and items without evidence.
LEAST = 0.02
SEASONAL = 30
"""How many items of the season stay in whatever their score: all that are due would be half of what is ranked."""


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Scores candidates by all models and puts them on one scale: columns `model.<name>`, the best candidate 1.

    `coarse` is their sum by the user's weights; new items, the 30 that stand out most in the season, what goes with the
    item on screen and what rules ask for stay in whatever their score, since later stages want them.
    """

    world: World
    name: str = "model_scores"
    policy: FailPolicy = FailPolicy.CLOSED
    _weights: Weights = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Split the weights once."""
        object.__setattr__(self, "_weights", Weights.of(self.world))

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `model.<name>` columns and `coarse`."""
        names = self.world.models.scored
        raw = {**self._personal(query, candidates), **self._general(query, candidates)}
        on_screen = candidates.column("raw.on_screen")
        scaled = normalised(np.stack([*(raw[name] for name in names), on_screen]).astype(np.float32, copy=False))
        coarse = np.maximum(self._weights.of_user(self.world, query), np.float32(LEAST)) @ scaled[:-1]
        asked = [candidates.column("raw.new"), candidates.column(PROMOTED), on_screen]
        wanted = ~np.isnan(asked).all(axis=0) | _highest(candidates.column("raw.season"), SEASONAL)
        columns = {f"model.{name}": row for name, row in zip((*names, "on_screen"), scaled, strict=True)}
        return {**columns, "coarse": coarse + wanted}

    def _personal(self, query: Query, candidates: Candidates) -> dict[str, Floats]:
        models, items = self.world.models, candidates.items
        content = content_profile(self.world, query)
        near = self.world.content_vectors(items) @ content if content.any() else np.zeros(len(items), np.float32)
        if not len(query.facts.history):
            return {**{name: np.zeros(len(items), np.float32) for name in models.retrievers}, CONTENT: near}
        return {**{name: self._retrieved(query, name, items) for name in models.retrievers}, CONTENT: near}

    def _retrieved(self, query: Query, name: str, items: Ordinals) -> Floats:
        """Return what a retrieval model says of items (n,)."""
        vector, vectors = represented(self.world, query, name), self.world.models.retrievers[name].item_vectors
        if vector is None or vectors is None:
            return values_at(*spread(self.world, query, name), items)
        return score_vectors(vectors, vector, items)

    def _general(self, query: Query, candidates: Candidates) -> dict[str, Floats]:
        models, items = self.world.models, candidates.items
        popular = models.popularity.score_candidates(items)
        country = models.countries.get(country_of(query))
        segments = segments_of(self.world, query)
        return {
            SEGMENT: popular * models.segments.lifts(segments, items),
            "popular": popular,
            "trending": trend(self.world, query).score(items),
            "country": popular if country is None else country.score_candidates(items),
        }


def _highest(values: Floats, k: int) -> Mask:
    """Say which values (n,) are the k highest of those that are not NaN, ties by place."""
    highest: Mask = np.zeros(len(values), np.bool_)
    highest[np.argsort(-values, kind="stable")[:k]] = True
    return highest & ~np.isnan(values)

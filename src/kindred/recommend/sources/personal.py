"""Sources that start from what the user did."""

from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.filters.rules import allowed
from kindred.recommend.model_set import CONTENT
from kindred.recommend.sources.lists import proposal, ranked
from kindred.recommend.taste import chosen_vector, content_profile, represented, spread
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class RetrieverSource:
    """What one retrieval model of the bundle ranks first for the history; it has the model's name."""

    world: World
    name: str
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether anything is liked: the vector of nothing is zero."""
        return bool(query.facts.positive.any())

    async def propose(self, query: Query) -> Candidates:
        """Return the items with the highest inner products, or sums; the index of a model with vectors is searched."""
        depth, mask = self.world.config.source_depth, allowed(self.world, query)
        vector = represented(self.world, query, self.name)
        if vector is None:
            found, scores = spread(self.world, query, self.name)
            kept = mask.has(found) & (scores > 0)
            return proposal(self.name, found[kept], scores[kept], depth)
        if not vector.any():
            return Candidates.empty()
        index = self.world.models.indexes[self.name]
        items, scores = index.search(vector, depth, mask)
        wanted = scores > 0
        return ranked(self.name, items[wanted], scores[wanted])


@dataclass(frozen=True, slots=True)
class ContentSource:
    """Items whose text is like that of what the user liked or chose in the profile; new and edited ones too."""

    world: World
    name: str = "content"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether anything is liked or was chosen."""
        return bool(query.facts.positive.any()) or bool(chosen_vector(self.world, query).any())

    async def propose(self, query: Query) -> Candidates:
        """Return the items with the highest cosines above the floor."""
        profile = content_profile(self.world, query)
        if not profile.any():
            return Candidates.empty()
        index = self.world.models.indexes[CONTENT]
        mask = allowed(self.world, query)
        items, scores = index.search(profile, self.world.config.source_depth, mask)
        near = scores >= self.world.config.content_floor
        return ranked(self.name, items[near], scores[near])


@dataclass(frozen=True, slots=True)
class OnScreenSource:
    """What resembles the item on screen."""

    world: World
    name: str = "on_screen"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether an item is on screen."""
        return query.context.item is not None

    async def propose(self, query: Query) -> Candidates:
        """Return its neighbours by behaviour and by content, each as a share of its nearest."""
        item = query.context.item
        if item is None:
            return Candidates.empty()
        depth, index = self.world.config.source_depth, self.world.models.indexes[CONTENT]
        mask = allowed(self.world, query)
        behaviour, similar = self.world.models.item_item.similar(item, depth)
        vector = self.world.content_vectors(np.array([item], np.int32))[0]
        content, cosines = index.search(vector, depth, mask)
        items = np.concatenate([behaviour, content[content != item]])
        scores = np.concatenate([_scaled(similar), 0.5 * _scaled(cosines[content != item])])
        found, rows = np.unique(items, return_inverse=True)
        totals = np.bincount(rows, scores, len(found)).astype(np.float32)
        kept = mask.has(found) & (totals > 0)
        return proposal(self.name, found[kept].astype(np.int32), totals[kept], depth)


def _scaled(values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return values / max(float(values.max(initial=0.0)), 1e-9)

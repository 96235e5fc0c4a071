"""World: everything that the stages of one bundle read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.models.preference import PreferenceConfig
from kindred.ports.catalog import CatalogStore
from kindred.ports.state import StateStore
from kindred.recommend.config import RecommendConfig
from kindred.recommend.item_table import ItemTable
from kindred.recommend.model_set import ModelSet
from kindred.recommend.side import ContentSide


@dataclass(slots=True)
class TrendBoard:
    """The live trend lists by window, best first: (ordinals, scores); `as_of` is when they were made (ms)."""

    lists: Mapping[str, tuple[Ordinals, Floats]] = field(default_factory=dict)
    as_of: Mapping[str, int] = field(default_factory=dict)

    def top(self, window: str) -> tuple[Ordinals, Floats]:
        """Return a window's list; empty when nothing trends."""
        none = (np.empty(0, np.int32), np.empty(0, np.float32))
        return self.lists.get(window, none)

    def score(self, window: str, items: Ordinals) -> Floats:
        """Return each item's trend score (n,) float32, 0 for items that are not on the list."""
        ordinals, scores = self.top(window)
        found = np.zeros(len(items), np.float32)
        if len(ordinals):
            order = np.argsort(ordinals)
            place = np.minimum(np.searchsorted(ordinals, items, sorter=order), len(ordinals) - 1)
            rows = order[place]
            hit = ordinals[rows] == items
            found[hit] = scores[rows[hit]]
        return found


@dataclass(frozen=True, slots=True)
class World:
    """One bundle's models with the live tables and stores; a request keeps the world it started in."""

    models: ModelSet
    table: ItemTable
    side: ContentSide
    trends: TrendBoard
    state: StateStore
    catalog: CatalogStore
    config: RecommendConfig
    preference: PreferenceConfig

    def content_vectors(self, items: Ordinals) -> Floats:
        """Return content vectors (n, d) float32, zero where an item has none yet."""
        vectors = np.zeros((len(items), self.models.content.dimensions), np.float32)
        covered = items < self.models.n_items
        vectors[covered] = self.models.content.item_vectors[items[covered]]
        self.side.overlay(items, vectors)
        return vectors

    def evidence(self, items: Ordinals) -> NDArray[np.int32]:
        """Return how many users each item has (n,) int32, as of the bundle."""
        counts = np.zeros(len(items), np.int32)
        covered = items < self.models.n_items
        counts[covered] = self.models.popularity.user_counts[items[covered]]
        return counts

    def ratings(self) -> Floats:
        """Return each item's smoothed average rating (size,), else the catalogue's own, NaN where there is none."""
        found = self.table.rating.copy()
        smoothed = self.models.ratings.averages[: len(found)]
        found[: len(smoothed)] = np.where(np.isnan(smoothed), found[: len(smoothed)], smoothed)
        return found

    def new_until(self, now: int) -> int:
        """Return the time (ms) since which an item must have been created to count as new."""
        return now - int(self.config.new_item_days * 86_400_000)

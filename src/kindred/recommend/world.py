"""World: everything that the stages of one bundle read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.models.arrays import rows_at, values_at
from kindred.models.preference import PreferenceConfig
from kindred.ports.catalog import CatalogStore
from kindred.ports.state import StateStore
from kindred.recommend.cards import Cards
from kindred.recommend.config import RecommendConfig
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items.masks import KeptMask
from kindred.recommend.items.near import NearItems
from kindred.recommend.items.popular import PopularLists
from kindred.recommend.model_set import ModelSet
from kindred.recommend.newcomers import Newcomers
from kindred.recommend.side import ContentSide


def _one_partition(key: str) -> int:
    """Return the partition of a log that has but one."""
    return 0


_NOTHING = (np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class Trend:
    """What trends in a window: `items (n,) int32` and `scores (n,) float32`, best first."""

    window: str
    items: Ordinals
    scores: Floats
    _ascending: tuple[Ordinals, Floats]

    @classmethod
    def of(cls, window: str, items: Ordinals, scores: Floats) -> Self:
        """Keep a list, and sort it by ordinal for looking up."""
        order = np.argsort(items)
        return cls(window, items, scores, (items[order], scores[order]))

    def score(self, items: Ordinals) -> Floats:
        """Return each item's trend score (n,) float32, 0 for items that are not on the list."""
        return values_at(*self._ascending, items)


@dataclass(slots=True)
class TrendBoard:
    """The live trend lists by window, and by window and country: (ordinals, scores) best first, replaced as a whole."""

    lists: Mapping[str, tuple[Ordinals, Floats]] = field(default_factory=dict)
    local: Mapping[str, Mapping[str, tuple[Ordinals, Floats]]] = field(default_factory=dict)
    _trends: dict[str, Trend] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the lists."""
        self.replace(self.lists, self.local)

    def replace(
        self,
        lists: Mapping[str, tuple[Ordinals, Floats]],
        local: Mapping[str, Mapping[str, tuple[Ordinals, Floats]]] | None = None,
    ) -> None:
        """Take over newer lists, and those of each window by country (two capital letters)."""
        self._trends = {window: Trend.of(window, *columns) for window, columns in lists.items()}
        self.lists, self.local = lists, local or {}

    def of(self, window: str) -> Trend:
        """Return what trends in a window; nothing where there is no list."""
        return self._trends.get(window) or Trend.of(window, *_NOTHING)

    def in_country(self, window: str, country: str) -> tuple[Ordinals, Floats]:
        """Return (ordinals, scores) of what trends in a country in a window, best first; nothing if none does."""
        return self.local.get(window, {}).get(country.upper(), _NOTHING)

    def knows(self, country: str) -> bool:
        """Say whether anything trends in a country in any window."""
        return any(country.upper() in countries for countries in self.local.values())


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
    partition_of: Callable[[str], int] = _one_partition
    cards: Cards = field(init=False)
    newcomers: Newcomers = field(init=False)
    popular: PopularLists = field(init=False, default_factory=PopularLists)
    near: NearItems = field(init=False, default_factory=NearItems)

    def __post_init__(self) -> None:
        """Begin to keep decoded items and lists."""
        object.__setattr__(self, "cards", Cards(self.catalog))
        counts, most = self.models.popularity.user_counts, self.config.new_item_interactions

        def little_used(items: Ordinals) -> Mask:
            # Not by way of the world: what it holds goes when nobody asks it any more, no collector looks for circles.
            return rows_at(counts, items) < most

        object.__setattr__(self, "newcomers", Newcomers(self.table, self.models.n_items, little_used))

    def content_vectors(self, items: Ordinals) -> Floats:
        """Return content vectors (n, d) float32, zero where an item has none yet."""
        vectors: Floats = rows_at(self.models.content.item_vectors, items)
        self.side.overlay(items, vectors)
        return vectors

    def evidence(self, items: Ordinals) -> NDArray[np.int32]:
        """Return how many users each item has (n,) int32, as of the bundle."""
        return rows_at(self.models.popularity.user_counts, items)

    def offered(self, now: int, country: str | None, category: str | None) -> KeptMask:
        """Return what is on offer at `now` (ms), may be shown in a country, and bears a category where one is named."""
        asked = [
            self.table.available(now),
            self.table.in_region(country),
            None if category is None else self.table.in_categories([category]),
        ]
        return self.table.masks.together([mask for mask in asked if mask is not None])

    def rated(self, least: float) -> KeptMask:
        """Return which items are rated at least so; one without a rating is not."""

        def passing(rows: Ordinals | None) -> Mask:
            return self.ratings_of(np.arange(self.table.size, dtype=np.int32) if rows is None else rows) >= least

        return self.table.mask(("min_rating", least, self.models.version), passing)

    def ratings_of(self, items: Ordinals) -> Floats:
        """Return each item's smoothed average rating (n,), else the catalogue's own, NaN where there is none."""
        found = self.table.rating[items]
        averages = self.models.ratings.averages
        covered = np.flatnonzero(items < len(averages))
        smoothed = averages[items[covered]]
        known = ~np.isnan(smoothed)
        found[covered[known]] = smoothed[known]
        return found

    def new_until(self, now: int) -> int:
        """Return the time (ms) since which an item must have been created to count as new."""
        return now - int(self.config.new_item_days * 86_400_000)

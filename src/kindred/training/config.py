"""Settings of training, and all the models' settings together."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from kindred.core.config import Config
from kindred.features.groups import FoldConfig
from kindred.models.als import AlsConfig
from kindred.models.blend import BlendConfig
from kindred.models.content import ContentConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.popularity import PopularityConfig
from kindred.models.preference import PreferenceConfig
from kindred.models.ratings import RatingsConfig
from kindred.models.trending import TrendingConfig
from kindred.recommend.config import RecommendConfig


class RelevanceConfig(Config, frozen=True, kw_only=True):
    """Which interactions count as a hit when rankings are judged.

    `min_rating`: a rating counts from this value on. `events`: other event types that count.
    """

    min_rating: float = 4.0
    events: tuple[str, ...] = ("purchase",)


class TrainingConfig(Config, frozen=True, kw_only=True):
    """How a bundle is made.

    `country_users`: a country with at least so many users gets a popularity list of its own. `holdout_share`: newest
    share of each user's rows that is held back to learn the blend and to measure, before all models are fitted on
    everything; 0 leaves both out. `holdout_users`: most users that are replayed for it. `min_users`: with fewer users
    to learn from, the configured blend stays. `prior_users`: how many users the configured blend weighs against the
    learned one. `keep`: bundles kept besides the active one. `seed`: fixes every draw. `threads`: of the fitting
    libraries, 0 = all cores.
    """

    country_users: int = 20
    holdout_share: float = 0.15
    holdout_users: int = 2_000
    min_users: int = 200
    prior_users: int = 200
    keep: int = 5
    seed: int = 42
    threads: int = 0


@dataclass(frozen=True, slots=True)
class TrainConfigs:
    """What every component of a training run is configured with."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    relevance: RelevanceConfig = field(default_factory=RelevanceConfig)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    als: AlsConfig = field(default_factory=AlsConfig)
    item_item: ItemItemConfig = field(default_factory=ItemItemConfig)
    content: ContentConfig = field(default_factory=ContentConfig)
    popularity: PopularityConfig = field(default_factory=PopularityConfig)
    trending: TrendingConfig = field(default_factory=TrendingConfig)
    ratings: RatingsConfig = field(default_factory=RatingsConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)
    recommend: RecommendConfig = field(default_factory=RecommendConfig)
    fold: FoldConfig = field(default_factory=FoldConfig)

    def parameters(self) -> dict[str, Any]:
        """Return every setting by section as plain values, for the manifest."""
        return {name: msgspec.to_builtins(getattr(self, name)) for name in self.__slots__}

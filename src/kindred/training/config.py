"""Settings of training, and all the models' settings together."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from kindred.core.config import Config, Count, CountOrZero, MoreThanZero, Share, without_secrets
from kindred.core.errors import ConfigError
from kindred.features.groups import FoldConfig
from kindred.models.als import AlsConfig
from kindred.models.blend import BlendConfig
from kindred.models.content import ContentConfig
from kindred.models.ease import EaseConfig
from kindred.models.graph import GraphConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.popularity import PopularityConfig
from kindred.models.preference import PreferenceConfig
from kindred.models.ranker import RankerConfig
from kindred.models.ratings import RatingsConfig
from kindred.models.retrieval import check_retrievers
from kindred.models.segments import SegmentsConfig
from kindred.models.sequential import SequentialConfig
from kindred.models.trending import TrendingConfig
from kindred.models.two_tower import TwoTowerConfig
from kindred.recommend.config import RecommendConfig


class RelevanceConfig(Config, frozen=True, kw_only=True):
    """Which interactions count as a hit when rankings are judged.

    `min_rating`: a rating counts from this value on. `events`: other event types that count.
    """

    min_rating: float = 4.0
    events: tuple[str, ...] = ("purchase",)


class TrainingConfig(Config, frozen=True, kw_only=True):
    """How a bundle is made.

    `retrieval`: the models that propose and score by a user's history, each with settings in a section of its name; an
    unknown one raises ConfigError. `country_users`: a country with at least so many users gets a popularity list of its
    own. `holdout_share`: newest share of each user's rows that is held back to learn the blend and to measure, before
    all models are fitted on everything; 0 leaves both out. `holdout_users`: most users that are replayed for it.
    `min_users`: with fewer users to learn from, the configured blend stays. `prior_users`: how many users the
    configured blend weighs against the learned one. `future`: seconds by which a row may be later than the training;
    rows beyond are left out. `resume`: seconds for which a run that was cut off can be taken up again; longer than a
    day, so that a daily training finds what the last one left. `keep`: bundles kept besides the active one. `seed`:
    fixes the draws of the hold-out, the gate, the ranker and tuning; a model that draws has a `seed` in its own
    section. `threads`: of the fitting libraries, 0 = all cores. `mlflow`: the tracking server or folder that runs are
    logged to besides, empty = none; its password belongs in
    MLFLOW_TRACKING_PASSWORD.
    """

    retrieval: tuple[str, ...] = ("als", "item_item")
    country_users: int = 20
    holdout_share: float = 0.15
    holdout_users: int = 2_000
    min_users: int = 200
    prior_users: int = 200
    future: CountOrZero = 86_400
    resume: CountOrZero = 172_800
    keep: int = 5
    seed: int = 42
    threads: int = 0
    mlflow: str = ""

    def __post_init__(self) -> None:
        """Check the names of models, and that no password gets into manifests and records."""
        check_retrievers(self.retrieval)
        if without_secrets(self.mlflow) != self.mlflow:
            raise ConfigError("training.mlflow: holds a password: put it into MLFLOW_TRACKING_PASSWORD instead")


GateCheck = Literal[
    "finite", "popularity", "active", "full_fit", "coverage", "cold_items", "popularity_bias", "latency"
]


class GateConfig(Config, frozen=True, kw_only=True):
    """What a training must show before its bundle is published.

    Past users are asked for what they did after a split in time, by models that were trained on what was before it.
    `users`: most of them, drawn from those who taught nothing. `min_users`: with fewer, only `finite` and `latency` are
    judged. `popularity_loss`, `active_loss`: share of the NDCG@10 of the most popular items, and of the active
    bundle's models, by which the new ones may be worse for certain (the better end of the 95 % interval of the paired
    differences). `full_fit_loss`: the same for the models that are published, which have seen the answers, against
    those that have not. `coverage_loss`: share of the different items in lists that may get lost. `cold_change`: by how
    much the share of items with fewer than ten interactions in lists may move. `bias_growth`: by how much the mean
    percentile of popularity of listed items may grow. `latency_ms`: milliseconds of a processor that the median
    replayed request may take. `resamples`: of the bootstrap. `skip`: checks that refuse nothing: finite, popularity,
    active, full_fit, coverage, cold_items, popularity_bias, latency.
    """

    users: Count = 400
    min_users: Count = 50
    popularity_loss: Share = 0.0
    active_loss: Share = 0.02
    full_fit_loss: Share = 0.1
    coverage_loss: Share = 0.5
    cold_change: Share = 0.25
    bias_growth: Share = 0.25
    latency_ms: MoreThanZero = 100.0
    resamples: Annotated[int, Meta(ge=2_000, le=100_000)] = 2_000
    skip: tuple[GateCheck, ...] = ()


class IncrementConfig(Config, frozen=True, kw_only=True):
    """How a bundle learns from new interactions between two trainings.

    `max_items`: most items that one increment changes, those with the most new rows; the others wait. `max_spread`:
    most lists of other items that it makes anew because a changed item enters them. `max_deltas`: most increments over
    one base. `heavy_users`: what becomes of users who make too much of all that is new since the base: `trim` leaves
    out the oldest of it until they do not, `refuse` refuses the increment. `user_share`: more than this part of it is
    too much. `user_rows`: a user with at most so many new items never makes too much. `norm_drift`: by how much,
    relative to before, the median length of changed factors may move, and the longest exceed the longest before.
    `canary_users`: users whose newest item before the base is looked for. `canary_depth`: length of the list it is
    looked for in. `canary_loss`: share of finds that may get lost.
    """

    max_items: Annotated[int, Meta(ge=1, le=40_000)] = 20_000
    max_spread: CountOrZero = 5_000
    max_deltas: Count = 200
    heavy_users: Literal["trim", "refuse"] = "trim"
    user_share: Share = 0.01
    user_rows: CountOrZero = 50
    norm_drift: MoreThanZero = 0.5
    canary_users: Count = 200
    canary_depth: Count = 20
    canary_loss: Share = 0.1


@dataclass(frozen=True, slots=True)
class TrainConfigs:
    """What every component of a training run is configured with."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    increment: IncrementConfig = field(default_factory=IncrementConfig)
    relevance: RelevanceConfig = field(default_factory=RelevanceConfig)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    als: AlsConfig = field(default_factory=AlsConfig)
    item_item: ItemItemConfig = field(default_factory=ItemItemConfig)
    ease: EaseConfig = field(default_factory=EaseConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    sequential: SequentialConfig = field(default_factory=SequentialConfig)
    two_tower: TwoTowerConfig = field(default_factory=TwoTowerConfig)
    content: ContentConfig = field(default_factory=ContentConfig)
    popularity: PopularityConfig = field(default_factory=PopularityConfig)
    segments: SegmentsConfig = field(default_factory=SegmentsConfig)
    trending: TrendingConfig = field(default_factory=TrendingConfig)
    ratings: RatingsConfig = field(default_factory=RatingsConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    recommend: RecommendConfig = field(default_factory=RecommendConfig)
    fold: FoldConfig = field(default_factory=FoldConfig)

    def parameters(self) -> dict[str, Any]:
        """Return every setting by section as plain values, for the manifest."""
        return {name: msgspec.to_builtins(getattr(self, name)) for name in self.__slots__}

"""The table of settings: which component reads which section."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from kindred.core.config import Config
from kindred.ingest.consumer import ConsumerConfig
from kindred.ingest.event_types import EventRules, EventTypesConfig
from kindred.jobs.config import LakeConfig, PrecomputeConfig, RetentionConfig, ScheduleConfig
from kindred.models.als import AlsConfig
from kindred.models.blend import BlendConfig
from kindred.models.content import ContentConfig
from kindred.models.ease import EaseConfig
from kindred.models.graph import GraphConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.popularity import PopularityConfig
from kindred.models.preference import PreferenceConfig, PreferenceSettings
from kindred.models.ranker import RankerConfig
from kindred.models.ratings import RatingsConfig
from kindred.models.segments import SegmentsConfig
from kindred.models.sequential import SequentialConfig
from kindred.models.trending import TrendingConfig
from kindred.models.two_tower import TwoTowerConfig
from kindred.pipeline.funnel import Deadlines
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.search.config import SearchConfig
from kindred.settings.load import Settings
from kindred.settings.schema import OpenTable, Schema
from kindred.training.config import GateConfig, IncrementConfig, RelevanceConfig, TrainConfigs, TrainingConfig

Origin = Annotated[str, Meta(pattern=r"^https?://[a-z0-9.:\[\]-]+$")]
StoreUrl = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+-]*:")]


class StoresConfig(Config, frozen=True, kw_only=True):
    """Where everything is kept: one URL per port, `scheme:location`; locations of files are below the data folder.

    `event_log`: the durable log of events. `state`: what is known of users and items now. `interactions`: the whole
    history. `catalog`: items. `profiles`: users' profiles. `cache`: answers that may vanish. `models`: trained
    bundles. `vectors`: which kind of vector index bundles hold. `traces`: what requests did, for a day. `tokens`:
    bearer tokens, hashed. `rules`: the versions of the placements that are changed while servers run. `leases`: who
    consumes and who trains. `dead_letters`: events that could never be folded. `item_log`: the log in which acts
    travel to their items where `event_log` has several partitions; empty: none, items are folded together with
    users. `notifier`: how processes tell one another that something has changed. `text`: the full-text index of
    each machine, with `?language=` the language whose word forms it knows.
    """

    event_log: StoreUrl = "sqlite:log"
    state: StoreUrl = "local:state"
    interactions: StoreUrl = "sqlite:history.sqlite"
    catalog: StoreUrl = "sqlite:catalog.sqlite"
    profiles: StoreUrl = "sqlite:profiles.sqlite"
    cache: StoreUrl = "local:cache"
    models: StoreUrl = "local:bundles"
    vectors: StoreUrl = "local:"
    traces: StoreUrl = "sqlite:traces.sqlite"
    tokens: StoreUrl = "sqlite:tokens.sqlite"
    rules: StoreUrl = "sqlite:rules.sqlite"
    leases: StoreUrl = "local:leases"
    dead_letters: StoreUrl = "sqlite:dead_letters.sqlite"
    item_log: Annotated[str, Meta(pattern=r"^([a-z][a-z0-9+-]*:.*)?$")] = ""
    notifier: StoreUrl = "poll:"
    text: StoreUrl = "tantivy:text"


class ServerConfig(Config, frozen=True, kw_only=True):
    """Where `kindred serve` listens.

    `host`: the address; 0.0.0.0 listens on every network. `port`: the TCP port; 0 takes a free one. `rate`: calls a
    second that one token may make of all servers of a data folder together, 0 = no limit. `burst`: seconds of unused
    rate that a token may spend at once. `queue_target`: milliseconds that a question may wait for its turn while others
    wait without a break, before new ones are answered with 503; from half of that on answers are eased. 0 = for ever.
    `origins`: web pages, such as `https://shop.example`, that may send events with a publishable token.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    rate: Annotated[float, Meta(ge=0)] = 0.0
    burst: Annotated[float, Meta(ge=0)] = 10.0
    queue_target: Annotated[float, Meta(ge=0, le=60_000)] = 100.0
    origins: tuple[Origin, ...] = ()


SECTIONS: dict[str, type[Config]] = {
    "stores": StoresConfig,
    "server": ServerConfig,
    "recommend": RecommendConfig,
    "search": SearchConfig,
    "reserves": ReservesConfig,
    "deadlines": Deadlines,
    "events": EventTypesConfig,
    "consumer": ConsumerConfig,
    "preference": PreferenceSettings,
    "blend": BlendConfig,
    "ranker": RankerConfig,
    "als": AlsConfig,
    "item_item": ItemItemConfig,
    "ease": EaseConfig,
    "graph": GraphConfig,
    "sequential": SequentialConfig,
    "two_tower": TwoTowerConfig,
    "content": ContentConfig,
    "popularity": PopularityConfig,
    "segments": SegmentsConfig,
    "trending": TrendingConfig,
    "ratings": RatingsConfig,
    "training": TrainingConfig,
    "gate": GateConfig,
    "increment": IncrementConfig,
    "relevance": RelevanceConfig,
    "lake": LakeConfig,
    "retention": RetentionConfig,
    "precompute": PrecomputeConfig,
    "schedule": ScheduleConfig,
}

PAGES = ("home", "search", "item_page", "category")

PRESETS = {path.stem: path for path in sorted(Path(__file__).with_name("presets").glob("*.toml"))}

SCHEMA = Schema(
    SECTIONS, {"placements": OpenTable(PlacementConfig, {page: PlacementConfig() for page in PAGES})}, PRESETS
)


def event_rules(settings: Settings) -> EventRules:
    """Return the accepted event types; raise ConfigError where their settings contradict one another."""
    return EventRules(settings.section(EventTypesConfig))


def preference_config(settings: Settings) -> PreferenceConfig:
    """Return how events become preferences, in training and serving alike: `preference` and `events.types` together."""
    return event_rules(settings).preference(settings.section(PreferenceSettings))


def consumer_config(settings: Settings) -> ConsumerConfig:
    """Return how the consumer folds: `consumer`, where types that speak against an item are no activity of it.

    What was shown is counted under the configured placements.
    """
    config, types = settings.section(ConsumerConfig), event_rules(settings).types.values()
    against = [each.name for each in types if each.weight < 0 and each.name not in config.fold.quiet]
    placements = (*config.fold.placements, *settings.table("placements", PlacementConfig))
    fold = msgspec.structs.replace(config.fold, quiet=(*config.fold.quiet, *against), placements=placements)
    return msgspec.structs.replace(config, fold=fold)


def train_configs(settings: Settings) -> TrainConfigs:
    """Gather what a training run is configured with."""
    return TrainConfigs(
        training=settings.section(TrainingConfig),
        gate=settings.section(GateConfig),
        increment=settings.section(IncrementConfig),
        relevance=settings.section(RelevanceConfig),
        preference=preference_config(settings),
        als=settings.section(AlsConfig),
        item_item=settings.section(ItemItemConfig),
        ease=settings.section(EaseConfig),
        graph=settings.section(GraphConfig),
        sequential=settings.section(SequentialConfig),
        two_tower=settings.section(TwoTowerConfig),
        content=settings.section(ContentConfig),
        popularity=settings.section(PopularityConfig),
        segments=settings.section(SegmentsConfig),
        trending=settings.section(TrendingConfig),
        ratings=settings.section(RatingsConfig),
        blend=settings.section(BlendConfig),
        ranker=settings.section(RankerConfig),
        recommend=settings.section(RecommendConfig),
        fold=consumer_config(settings).fold,
    )

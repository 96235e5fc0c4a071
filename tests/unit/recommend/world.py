"""A small synthetic world with everything real but the stores: fitted models, folded users, a live follower."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from kindred.adapters.memory.cache import MemoryCache
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.dead_letters import MemoryDeadLetters
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.leases import MemoryLeases
from kindred.adapters.memory.models import MemoryModelStore
from kindred.adapters.memory.notifier import MemoryNotifier
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.rules import MemoryRules
from kindred.adapters.memory.state import MemoryStateStore
from kindred.adapters.memory.text import MemoryText
from kindred.adapters.memory.tokens import MemoryTokens
from kindred.adapters.memory.traces import MemoryTraces
from kindred.adapters.memory.vectors import MemoryVectorIndexes
from kindred.app.follower import Follower
from kindred.app.page_tokens import PageTokens
from kindred.app.placements import LivePlacements
from kindred.app.serving import Serving
from kindred.app.stores import Stores
from kindred.core.bundle import Manifest
from kindred.core.clock import DAY, FixedClock
from kindred.core.event import Interaction
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.features.bulk import bulk_users
from kindred.features.groups import FoldConfig, user_key
from kindred.features.history import HistoryRows
from kindred.features.users import encode_user
from kindred.ingest.consumer import Consumer
from kindred.ingest.folding import IngestStores
from kindred.ingest.journal import Journal
from kindred.models.als import AlsConfig
from kindred.models.blend import BlendConfig, BlendModel, blended
from kindred.models.content import ContentConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.preference import Interactions, PreferenceConfig
from kindred.pipeline.funnel import Deadlines
from kindred.ports.state import StateRecord, StateWrite
from kindred.ports.telemetry import NoMeter
from kindred.recommend.ask import Ask
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.item_table import ITEMS, ItemTable
from kindred.recommend.world import World
from kindred.training.bundle import write_models
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.dataset import Dataset
from kindred.training.fit.models import fit_models

NOW = 1_700_000_000_000
CATEGORIES = ("action", "drama", "comedy", "horror", "music")
NAMES = ("click", "dislike", "purchase", "rating", "view")
WORDS = ("river", "night", "engine", "garden", "winter", "signal", "harbor", "copper", "violet", "summit")


@dataclass(frozen=True)
class Size:
    """How large the world is; users like items whose number leaves the same rest by the number of tastes."""

    items: int = 120
    users: int = 150
    per_user: int = 12
    seed: int = 5


@dataclass
class Platform:
    """Stores, follower, serving and consumer over one synthetic world."""

    stores: Stores
    clock: FixedClock
    follower: Follower
    serving: Serving
    journal: Journal
    consumer: Consumer
    columns: Interactions
    user_ids: list[str]
    taken: int = field(default=0)

    @property
    def world(self) -> World:
        return self.follower.world

    async def ask(self, user_id: str, **fields):
        return await self.serving.recommend(Ask(user_id=user_id, **fields))

    async def track(self, user_id: str, item_id: str, event_type: str = "view", **metadata) -> Position:
        """Record an event and fold it."""
        self.taken += 1
        now = self.clock.now()
        event = Interaction(
            event_id=f"e{self.taken}",
            timestamp=now,
            ingested_at=now,
            user_id=user_id,
            item_id=item_id,
            event_type=event_type,
            metadata=metadata,
        )
        (position,) = await self.journal.record([event])
        await self.consumer.drain_to(position)
        return position

    async def upsert(self, *items: Item) -> None:
        await self.stores.catalog.upsert(items, self.clock.now())
        await self.follower.step()

    async def shown_items(self, served) -> list[str]:
        return [item.catalog_item.item.item_id for item in served.items]


def item(number: int) -> Item:
    """Return item `i<number>`; its category follows its taste, its words and tags its number."""
    taste = number % len(CATEGORIES)
    return Item(
        item_id=f"i{number}",
        title=f"The {WORDS[number % 7]} {WORDS[(number // 3) % 10]}",
        categories=[CATEGORIES[taste], *([CATEGORIES[(taste + 1) % 5]] if number % 4 == 0 else [])],
        tags=[f"tag{number % 11}", f"mood{taste}"],
        description=f"{WORDS[number % 10]} {WORDS[number % 3]}",
        created=NOW - (400 + number % 100) * DAY,
    )


def interactions(size: Size) -> Interactions:
    """Return rows of users who mostly keep to their taste, popular items first."""
    rng = np.random.default_rng(size.seed)
    per_taste = size.items // len(CATEGORIES)
    weights = 1.0 / np.arange(1, per_taste + 1) ** 0.6
    users, items = [], []
    for user in range(size.users):
        chosen = rng.choice(per_taste, min(size.per_user, per_taste), replace=False, p=weights / weights.sum())
        tastes = np.where(rng.random(len(chosen)) < 0.85, user % len(CATEGORIES), rng.integers(0, 5, len(chosen)))
        users += [user] * len(chosen)
        items += (chosen * len(CATEGORIES) + tastes).tolist()
    n = len(users)
    codes = rng.choice([0, 2, 3, 4], n, p=[0.2, 0.2, 0.3, 0.3])
    values = np.where(codes == 3, rng.choice([2.0, 3.0, 4.0, 4.5, 5.0], n), np.nan)
    times = NOW - rng.integers(DAY, 200 * DAY, n)
    return Interactions(
        np.array(users, np.int32),
        np.array(items, np.int32),
        times.astype(np.int64),
        codes.astype(np.int16),
        values.astype(np.float32),
        NAMES,
    )


def memory_stores(home: Path, vectors=None) -> Stores:
    return Stores(
        log=MemoryEventLog(),
        state=MemoryStateStore(),
        interactions=MemoryInteractions(),
        catalog=MemoryCatalog(),
        profiles=MemoryProfiles(),
        cache=MemoryCache(),
        models=MemoryModelStore(),
        vectors=vectors or MemoryVectorIndexes(),
        traces=MemoryTraces(),
        tokens=MemoryTokens(),
        rules=MemoryRules(),
        leases=MemoryLeases(),
        dead_letters=MemoryDeadLetters(),
        notifier=MemoryNotifier(),
        text=MemoryText(),
        lake=home / "lake",
    )


CONFIGS = TrainConfigs(
    training=TrainingConfig(country_users=5, threads=1),
    als=AlsConfig(factors=16, iterations=8, regularization=1.0),
    item_item=ItemItemConfig(neighbours=30, shrinkage=5.0),
    content=ContentConfig(dimensions=32),
)


def profiles_of(user_ids: list[str]) -> list[Profile | None]:
    """Put every third user into Germany."""
    return [Profile(user_id=name, country="DE") if n % 3 == 0 else None for n, name in enumerate(user_ids)]


async def publish(stores: Stores, columns: Interactions, user_ids: list[str], version: str, configs=CONFIGS) -> None:
    """Fit every model on the catalogue as it stands and publish the bundle."""
    items = await stores.catalog.changes_since(0, 1_000_000)
    by_ordinal = {one.ordinal: one for one in items}
    catalogue = [by_ordinal.get(ordinal) for ordinal in range(max(by_ordinal, default=-1) + 1)]
    profiles = profiles_of(user_ids)
    dataset = Dataset(columns, user_ids, profiles, catalogue, catalogue_seq=max((i.seq for i in items), default=0))
    models = fit_models(dataset, configs, NOW)
    folder = await stores.models.stage()
    ItemTable.of(dataset.changes(), attributes=True).save(folder / ITEMS)
    write_models(models, BlendModel.from_config(BlendConfig(), blended(models.retrievers)), folder, stores.vectors)
    manifest = Manifest(
        version=version,
        created=NOW,
        n_items=dataset.n_items,
        window=dataset.window(),
        retrievers=tuple(models.retrievers),
    )
    await stores.models.publish(folder, manifest)


async def write_users(stores: Stores, columns: Interactions, user_ids: list[str]) -> None:
    """Fold everybody's rows into the state, as an import would."""
    order = np.argsort(columns.users, kind="stable")
    rows = columns.take(order)
    starts = np.searchsorted(rows.users, np.arange(len(user_ids) + 1))
    history = HistoryRows(rows.items, rows.timestamps, rows.event_types.astype(np.uint8), rows.values, rows.names)
    profiles = profiles_of(user_ids)
    records = bulk_users(history, starts, profiles, FoldConfig())
    position = START._replace(offset=0)
    writes = [
        StateWrite(user_key(name), StateRecord(position, encode_user(record)))
        for name, record in zip(user_ids, records, strict=True)
    ]
    await stores.state.write(writes, position)


async def build(
    home: Path,
    size: Size | None = None,
    config: RecommendConfig | None = None,
    vectors=None,
    placements=None,
    trained: bool = True,
    configs=CONFIGS,
    reserves=None,
) -> Platform:
    """Return a running platform; `config` steers the request path."""
    size = size or Size()
    stores = memory_stores(home, vectors)
    clock = FixedClock(NOW)
    columns, user_ids = interactions(size), [f"u{n}" for n in range(size.users)]
    # The record that stands for the import: later events come behind it.
    await stores.log.append([("import", b"")])
    await stores.log.commit("consumer", START._replace(offset=0))
    if trained:
        await stores.catalog.upsert([item(n) for n in range(size.items)], NOW - 100 * DAY)
        await write_users(stores, columns, user_ids)
        await publish(stores, columns, user_ids, "b1", configs)
    # Its users have twelve interactions, which is to be enough for the learned weights.
    config = config or RecommendConfig(exploration=0.0, seed=7, user_evidence=2.0)
    follower = Follower(stores, clock, config, PreferenceConfig(), NoMeter())
    consumer = Consumer(
        IngestStores(
            log=stores.log,
            state=stores.state,
            interactions=stores.interactions,
            catalog=stores.catalog,
            profiles=stores.profiles,
            lake=stores.lake,
            dead_letters=stores.dead_letters,
            cache=stores.cache,
        ),
        stores.leases,
        clock=clock,
    )
    journal = Journal(stores.log, consumer.wake)
    surfaces = placements or {page: PlacementConfig() for page in ("home", "search", "item_page", "category")}
    pages, live = PageTokens(b"s" * 32), LivePlacements(stores.rules, surfaces, clock, NoMeter())
    serving = Serving(
        stores, follower, clock, config, live, Deadlines(), NoMeter(), journal.record, pages, reserves=reserves
    )
    await follower.step()
    await live.step()
    return Platform(stores, clock, follower, serving, journal, consumer, columns, user_ids)


def changed(config: RecommendConfig, **fields) -> RecommendConfig:
    return msgspec.structs.replace(config, **fields)

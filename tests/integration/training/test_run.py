"""A training run from stores to a published bundle, and every way in which nothing is published."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from kindred.adapters.local.leases import LocalLeases, open_leases
from kindred.adapters.local.models import LocalModelStore, open_models
from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.core.bundle import Manifest
from kindred.core.clock import FixedClock
from kindred.core.errors import BundleMismatch, InvalidInput, LeaseHeld, StoreFull
from kindred.core.event import Event, EventContext, Interaction, ProfileErased, encode_event, partition_key
from kindred.core.item import Item
from kindred.core.profile import Profile
from kindred.core.query import Context
from kindred.ingest.fold_columns import FoldColumns
from kindred.ingest.importing.lake import LAKE_COLUMNS, ImportManifest, Lake
from kindred.recommend.item_table import ITEMS, ItemTable
from kindred.recommend.model_set import open_models as open_bundle
from kindred.training.card import FILE
from kindred.training.collect import collect
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.publishing import LEASE
from kindred.training.records import RunRecord, RunRecords
from kindred.training.run import train

NOW = 1_700_000_000_000
DAY = 86_400_000


@dataclass(frozen=True)
class Stores:
    """Everything that training touches: bundles and leases on disk, the rest in memory."""

    log: MemoryEventLog
    catalog: MemoryCatalog
    profiles: MemoryProfiles
    lake: Path
    models: LocalModelStore
    leases: LocalLeases
    vectors: LocalVectorIndexes

    @property
    def home(self) -> Path:
        return self.lake.parent


@pytest.fixture
async def stores(tmp_path: Path) -> Stores:
    """Return empty stores."""
    return Stores(
        MemoryEventLog(),
        MemoryCatalog(),
        MemoryProfiles(),
        tmp_path / "lake",
        await open_models("bundles", tmp_path),
        await open_leases("leases", tmp_path),
        LocalVectorIndexes(),
    )


async def listed(stores: Stores, count: int = 12) -> None:
    items = [Item(item_id=f"i{n}", title=f"thing number {n}", categories=["a" if n % 2 else "b"]) for n in range(count)]
    await stores.catalog.upsert(items, NOW)


def bought(user: str, item: str, event_id: str, when: int = NOW, arrived: int | None = None) -> Interaction:
    arrival = when if arrived is None else arrived
    return Interaction(
        event_id=event_id, timestamp=when, ingested_at=arrival, user_id=user, item_id=item, event_type="purchase"
    )


async def logged(stores: Stores, *events: Event) -> None:
    await stores.log.append([(partition_key(event), encode_event(event)) for event in events])


def imported(stores: Stores, rows: list[tuple[str, int]], position: str = "0.0.-1") -> None:
    """Put purchases (user, ordinal) into the lake as an import whose marker stands at `position`."""
    lake = Lake(stores.lake)
    manifest = ImportManifest(import_id="imp_1", source="shop", created=NOW, interactions=len(rows))
    staged = lake.stage("imp_1")
    frame = pl.DataFrame(
        {
            "row_id": [str(n).encode().ljust(16) for n in range(len(rows))],
            "user_id": [user for user, _ in rows],
            "item_id": [f"i{item}" for _, item in rows],
            "ordinal": pl.Series([item for _, item in rows], dtype=pl.Int32),
            "event_type": ["purchase"] * len(rows),
            "timestamp": [NOW - DAY] * len(rows),
            "value": [math.nan] * len(rows),
            "quantity": [None] * len(rows),
            "session": [None] * len(rows),
            "ingested_at": [NOW - DAY] * len(rows),
        }
    )
    nobody = FoldColumns(
        [], np.zeros(1, np.int64), *(np.empty(0, kind) for kind in (np.int32, np.int64, np.uint8, np.float32))
    )
    staged.write(frame.select(LAKE_COLUMNS), nobody, 0, 1)
    lake.commit(staged, manifest)
    lake.publish_rows(manifest)
    lake.close(manifest, position)


async def test_lake_and_log_become_one_dataset(stores: Stores) -> None:
    await listed(stores)
    imported(stores, [("ann", 0), ("bob", 1)])
    await logged(stores, bought("ann", "i2", "e1"), bought("cid", "i3", "e2"), bought("cid", "nowhere", "e3"))
    await stores.profiles.upsert([Profile(user_id="bob", country="de")])
    data = await collect(stores)
    rows = data.interactions
    found = {(data.user_ids[u], int(i)) for u, i in zip(rows.users, rows.items, strict=True)}
    assert found == {("ann", 0), ("bob", 1), ("ann", 2), ("cid", 3)}
    assert data.countries()[list(data.user_ids).index("bob")] == "DE"
    assert data.n_items == 12
    assert data.position == "0.0.2"


async def test_training_knows_who_asked_and_where(stores: Stores) -> None:
    """Profiles keep what features read; rows say where they happened, beside imported ones that do not."""
    await listed(stores)
    imported(stores, [("ann", 0)])
    where = EventContext(device="tv", placement="search", location="de-by")
    await logged(stores, bought("ann", "i2", "e1"), msgspec.structs.replace(bought("bob", "i3", "e2"), context=where))
    told = Profile(user_id="bob", country="de", timezone="Europe/Berlin", gender="f", birth_year=1980)
    await stores.profiles.upsert(
        [msgspec.structs.replace(told, attributes={"note": "long"}), Profile(user_id="ann", language="en")]
    )
    data = await collect(stores)
    assert list(data.profiles) == [None, told]
    assert data.contexts is not None
    for part in (data, data.with_rows(np.arange(3)[::-1]), data.until(data.position, data.catalogue_seq, 12)):
        assert part.contexts is not None
        for row, user in enumerate(part.interactions.users.tolist()):
            known = Context(time=5, page="search", device="tv", location="DE") if user else Context(time=5)
            assert part.contexts.at(row, 5) == known
    assert data.fingerprint() == (await collect(stores)).fingerprint()
    for other in (replace(data, profiles=[None, None]), replace(data, contexts=None)):
        assert other.fingerprint() != data.fingerprint()


async def test_a_repeated_event_counts_once_within_a_day(stores: Stores) -> None:
    await listed(stores)
    again, later = bought("ann", "i1", "e1", arrived=NOW + 1), bought("ann", "i1", "e1", arrived=NOW + 2 * DAY)
    await logged(stores, bought("ann", "i1", "e1"), again, bought("bob", "i1", "e1"), later)
    assert len((await collect(stores)).interactions) == 3


async def test_an_erased_user_is_gone_from_lake_and_log_but_may_come_back(stores: Stores) -> None:
    await listed(stores)
    imported(stores, [("ann", 0), ("bob", 1)])
    erased = ProfileErased(event_id="x", timestamp=NOW, ingested_at=NOW, user_id="ann")
    await logged(stores, bought("ann", "i2", "e1"), erased, bought("ann", "i3", "e2"))
    data = await collect(stores)
    rows = data.interactions
    found = {(data.user_ids[u], int(i)) for u, i in zip(rows.users, rows.items, strict=True)}
    assert found == {("bob", 1), ("ann", 3)}


async def test_rows_imported_after_an_erasure_stay(stores: Stores) -> None:
    await listed(stores)
    imported(stores, [("ann", 0)], position="0.0.9")
    await logged(stores, ProfileErased(event_id="x", timestamp=NOW, ingested_at=NOW, user_id="ann"))
    assert len((await collect(stores)).interactions) == 1


async def test_a_run_publishes_a_bundle_that_servers_can_open(stores: Stores) -> None:
    await listed(stores)
    await logged(stores, *(bought(f"u{n % 9}", f"i{n % 12}", f"e{n}", NOW - n * 1_000) for n in range(60)))
    steps: list[str] = []
    manifest = await train(stores, TrainConfigs(), FixedClock(NOW), steps.append)
    assert await stores.models.active() == manifest.version
    opened = open_bundle(*await stores.models.open(manifest.version), stores.vectors)
    assert opened.n_items == 12
    assert opened.content_lists is not None
    assert len(opened.content_lists.items) == manifest.metrics["similar.items"] == 12
    assert manifest.window.interactions == 60
    assert manifest.window.position == "0.0.59"
    assert manifest.parameters["als"]["factors"] == opened.als.factors
    table = ItemTable.open((await stores.models.open(manifest.version))[1] / ITEMS)
    assert (table.size, table.seq) == (manifest.n_items, manifest.window.catalogue_seq)
    assert {"data", "als", "publish"} <= set(steps)
    assert await stores.leases.holder(LEASE) is None


async def test_an_active_bundle_of_another_schema_is_replaced(stores: Stores) -> None:
    await listed(stores)
    folder = await stores.models.stage()
    old = Manifest(version="20230101T000000Z-aaaaaa", created=NOW - DAY, schema="kindred-bundle-3")
    await stores.models.publish(folder, old)
    with pytest.raises(BundleMismatch, match=r"'kindred-bundle-3', this release reads '.*': train anew"):
        await stores.models.open(old.version)
    manifest = await train(stores, TrainConfigs(), FixedClock(NOW))
    assert await stores.models.active() == manifest.version
    assert open_bundle(*await stores.models.open(manifest.version), stores.vectors).n_items == 12


async def test_a_run_leaves_a_record_and_a_card_and_reaches_mlflow(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listed(stores)
    await logged(stores, *(bought(f"u{n % 9}", f"i{(n // 9 + n % 9) % 12}", f"e{n}", NOW - n * DAY) for n in range(80)))
    told: list[tuple[str, RunRecord]] = []
    monkeypatch.setattr("kindred.training.run.log_run", lambda uri, record: told.append((uri, record)))
    configs = TrainConfigs(training=TrainingConfig(min_users=3, mlflow="here"))
    manifest = await train(stores, configs, FixedClock(NOW))
    record = RunRecords(stores.home).read(manifest.version)
    assert [(uri, one.version) for uri, one in told] == [("here", manifest.version)]
    assert record.outcome == "published"
    assert record.facts["listed_items"] == 12
    (by_user, by_item) = record.segments.values()
    assert sum(figure.users or 0 for figure in by_user.values()) == record.metrics["gate.ndcg@10.candidate"].users
    assert by_item
    text = ((await stores.models.open(manifest.version))[1] / FILE).read_text()
    assert text.startswith(f"# Model card: bundle {manifest.version}\n")
    assert "| gate.ndcg@10.candidate |" in text


async def test_items_without_interactions_still_train(stores: Stores) -> None:
    await listed(stores)
    manifest = await train(stores, TrainConfigs(), FixedClock(NOW))
    opened = open_bundle(*await stores.models.open(manifest.version), stores.vectors)
    assert opened.content.item_vectors.any()
    assert not opened.als.item_factors.any()


async def test_an_empty_catalogue_is_refused_with_the_fix(stores: Stores) -> None:
    with pytest.raises(InvalidInput, match="kindred import"):
        await train(stores, TrainConfigs(), FixedClock(NOW))
    assert await stores.models.active() is None


async def test_a_second_trainer_is_told_who_trains(stores: Stores) -> None:
    fence = await stores.leases.acquire(LEASE, "somebody")
    with pytest.raises(LeaseHeld, match="somebody"):
        await train(stores, TrainConfigs(), FixedClock(NOW))
    assert fence is not None
    await stores.leases.release(LEASE, fence)


async def test_a_failed_step_publishes_nothing_and_frees_the_lease(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listed(stores)
    first = await train(stores, TrainConfigs(), FixedClock(NOW))

    def full(*_: object) -> dict[str, float]:
        raise StoreFull("no room left")

    monkeypatch.setattr(stores.vectors, "build", full)
    with pytest.raises(StoreFull):
        await train(stores, TrainConfigs(), FixedClock(NOW + DAY))
    assert await stores.models.active() == first.version
    assert [each.version for each in await stores.models.bundles()] == [first.version]
    assert await stores.leases.holder(LEASE) is None
    failed, published = RunRecords(stores.home).records()
    assert (failed.outcome, failed.error) == ("failed", "no room left")
    assert (published.outcome, published.version) == ("published", first.version)

"""The lake and increments over a log on Kafka and a catalogue in PostgreSQL: the same rows, once, by partition."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engines.kafka import Kafka
from tests.engines.postgres import Postgres
from tests.integration.jobs.stores import Stores
from tests.integration.jobs.test_lake import held, in_log, mixed, writer
from tests.integration.training.test_increment import CONFIGS, HOUR, NOW, learn, opened, purchases
from tests.integration.training.test_run import Stores as TrainingStores
from tests.integration.training.test_run import bought, listed, logged, stores  # noqa: F401

from kindred.adapters.kafka.event_log import KafkaEventLog, open_event_log
from kindred.adapters.local.leases import LocalLeases
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.postgres.catalog import open_catalog
from kindred.core.clock import FixedClock
from kindred.jobs.lake import GROUP
from kindred.jobs.lake_files import LakeFolder
from kindred.training.collect import collect, positions
from kindred.training.run import train


@pytest.fixture
async def log(kafka: Kafka, tmp_path: Path) -> AsyncIterator[KafkaEventLog]:
    """Return a log of two partitions."""
    opened_log = await open_event_log(kafka.location(tmp_path, partitions=2), tmp_path)
    yield opened_log
    await opened_log.close()


async def test_the_lake_takes_each_record_of_a_broker_once_however_often_it_is_cut_off(
    log: KafkaEventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Stores(log, MemoryCatalog(), MemoryProfiles(), LocalLeases(tmp_path / "leases"), tmp_path / "lake")
    await mixed(here)
    commit, cut = LakeFolder.commit, iter([False, True, True, False, True])

    def dying(self: LakeFolder, manifest) -> None:  # type: ignore[no-untyped-def]
        if next(cut, False):
            raise KeyboardInterrupt
        commit(self, manifest)
        if next(cut, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(LakeFolder, "commit", dying)
    deaths = 0
    while True:
        try:
            await writer(here).run()
            break
        except KeyboardInterrupt:
            deaths += 1
    assert deaths == 3
    before = await in_log(here)
    assert len({record[1] for record in before}) == 2, "both partitions have records"
    assert held(here) == before
    assert sorted(await log.committed(GROUP)) == sorted(await log.ends())
    assert await log.repartition(3) == 1
    await mixed(here, 12)
    assert (await writer(here).run()).lost == 0
    epochs = {record[0] for record in held(here)}
    assert (epochs, len(held(here))) == ({0, 1}, len(before) + 15)
    assert (await writer(here).run()).rows == 0


async def test_increments_learn_from_every_partition_once(
    log: KafkaEventLog,
    postgres: Postgres,
    stores: TrainingStores,  # noqa: F811
    tmp_path: Path,
) -> None:
    catalog = await open_catalog(postgres.schema_url(tmp_path).partition(":")[2], tmp_path)
    fleet = dataclasses.replace(stores, log=log, catalog=catalog)  # type: ignore[arg-type]
    await listed(fleet, 40)
    await logged(fleet, *purchases(1, 0, 30, 8, NOW))
    base = await train(fleet, CONFIGS, FixedClock(NOW + HOUR))
    assert len(positions(base.window.position)) == 2
    # Half of what is new stands in the lake by now, half in the log's tail.
    await logged(fleet, *[bought(f"u{n}", f"i{n % 4}", f"n{n}", NOW + HOUR + n) for n in range(20)])
    await writer(fleet).run()  # type: ignore[arg-type]
    await logged(fleet, *[bought(f"u{n}", f"i{n % 4}", f"m{n}", NOW + HOUR + n) for n in range(20, 30)])
    made = await learn(fleet)
    assert made is not None
    assert (made.metrics["increment.rows"], made.metrics["increment.items"]) == (30, 4)
    assert await learn(fleet) is None
    now, dataset = await opened(fleet), await collect(fleet)
    counted = [len(set(dataset.interactions.users[dataset.interactions.items == item])) for item in range(4)]
    assert now.popularity.user_counts[:4].tolist() == counted
    await catalog.close()

"""What partitions hold that only an older epoch of the log has: rebuilt, in the lake, trained on, and trimmed."""

import pytest
from tests.integration.ingest.stores import NOW, World, happened
from tests.integration.jobs.stores import DAY, bought, in_memory, listed, logged
from tests.integration.jobs.test_lake import held, writer
from tests.integration.jobs.test_rebuild import deeds
from tests.integration.jobs.test_retention import Retained, in_lake

from kindred.adapters.local.leases import LocalLeases
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock
from kindred.core.errors import InvalidInput
from kindred.core.event import Imported, encode_event
from kindred.core.position import Position
from kindred.features.groups import USER
from kindred.ingest.importing.finish import _marker_position
from kindred.jobs.comparison import compare
from kindred.jobs.config import RetentionConfig
from kindred.jobs.rebuild import Rebuild, whole_source
from kindred.jobs.retention import RetentionReport, retain
from kindred.ports.log import DeadLetter, all_ends, all_partitions
from kindred.training.collect import collect

CHANGES = [(8, 4), (4, 8), (4, 6)]


async def everything(log: MemoryEventLog) -> list[tuple[int, int, int, bytes]]:
    """Return all records of all epochs."""
    found = []
    for partition in await all_partitions(log):
        found += await log.read(Position(0, partition, -1), 10_000)
    return sorted((*record.position, record.data) for record in found)


async def switched(folder, before: int, after: int) -> World:
    """Return a world that folded events of an epoch of `before` partitions and of one of `after`."""
    world = World(folder / "lake", partitions=before)
    world.leases = LocalLeases(folder / "leases")
    await world.record(*deeds(150))
    await world.drain()
    await world.log._store.repartition(after)
    await world.record(*deeds(60, 2, 1_000))
    await world.drain()
    return world


@pytest.mark.parametrize("source", ["log", "lake"])
@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_a_rebuild_holds_the_users_of_every_epoch(tmp_path, before, after, source) -> None:
    world = await switched(tmp_path, before, after)
    if source == "lake":
        await in_lake(world)
        for end in await all_ends(world.log):
            await world.log.trim(end)
        assert await whole_source(world.log) == "lake"
        with pytest.raises(InvalidInput, match="the log begins"):
            await Rebuild(world.stores, MemoryStateStore()).prepare()
    built = Rebuild(world.stores, MemoryStateStore(), source=source, clock=world.clock)
    report = await compare(built, world.state, list(await all_partitions(world.log)))
    assert report.differing == []
    assert report.compared[USER] == len([key async for key, _ in world.state.scan(USER)]) > 10
    assert built.partitions == list(range(max(before, after)))


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_the_lake_and_training_hold_every_epoch(tmp_path, before, after) -> None:
    """Nothing of the older epoch was in the lake when it ended."""
    stores = in_memory(tmp_path, before)
    await listed(stores.catalog)
    await logged(stores.log, *(bought(f"u{n}", f"i{n % 5}", n) for n in range(60)))
    await stores.log.repartition(after)
    await logged(stores.log, *(bought(f"u{n}", f"i{n % 5}", n) for n in range(60, 80)))
    assert len((await collect(stores)).interactions.items) == 80
    assert (await writer(stores).run()).rows == 80
    assert held(stores) == await everything(stores.log)
    assert len((await collect(stores)).interactions.items) == 80
    committed = {place.partition: place for place in await stores.log.committed("lake")}
    assert [committed[end.partition] for end in await stores.log.ends() if end.offset >= 0] == [
        end for end in await stores.log.ends() if end.offset >= 0
    ]


async def retained(world: World, day: int) -> RetentionReport:
    """Keep ten days."""
    config = RetentionConfig(log_days=10)
    return await retain(Retained(world.stores), config, FixedClock(NOW + day * DAY))  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_an_epoch_that_is_over_is_trimmed_to_its_end(tmp_path, before, after) -> None:
    """Also while the present one has nothing old, or nothing at all; its dead letters go with it."""
    world = await switched(tmp_path, before, after)
    await world.log._store.repartition(3)
    ends = [end for end in await all_ends(world.log) if end.epoch == 0]
    await world.letters.bury([DeadLetter(end, "unreadable", b"x") for end in ends])
    assert (await retained(world, 20)).waits != [], "the lake comes first"
    await in_lake(world)
    assert (await retained(world, 5)).records == 0
    assert {*ends} <= {letter.position for letter in await world.letters.letters(None, 100)}
    report = await retained(world, 20)
    assert report.waits == []
    assert await everything(world.log) == []
    assert await world.letters.letters(None, 100) == []
    assert (await retained(world, 20)).records == 0
    await world.record(happened(9_999, "u1", "i1"))
    await world.drain()


async def test_an_import_s_marker_is_found_in_an_older_epoch(tmp_path) -> None:
    """The run that finishes an import does not append a second one."""
    log = MemoryEventLog(8)
    marker = Imported(event_id="e", timestamp=NOW, ingested_at=NOW, import_id="imp_7", source="s")
    (position,) = await log.append([(marker.import_id, encode_event(marker))])
    await log.repartition(1)
    assert await _marker_position(log, "imp_7") == position
    assert await _marker_position(log, "imp_8") is None

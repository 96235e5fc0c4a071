"""What is old leaves the hot stores, never before the lake and every consumer have it."""

import msgspec
import pytest
from tests.integration.ingest.stores import NOW, World, happened

from kindred.adapters.local.leases import LocalLeases
from kindred.adapters.memory.traces import MemoryTraces
from kindred.core.clock import FixedClock
from kindred.core.position import Position
from kindred.ingest.folding import IngestStores
from kindred.ingest.forwarding import ITEM_SIDE
from kindred.jobs.config import LakeConfig, RetentionConfig
from kindred.jobs.lake import LakeWriter
from kindred.jobs.retention import RetentionReport, retain
from kindred.ports.log import DeadLetter
from kindred.training.lake_events import LakeEvents

DAY = 86_400_000


class Retained:
    """The stores of a world, and those besides that retention looks at."""

    def __init__(self, stores: IngestStores) -> None:
        self._stores = stores
        self.traces = MemoryTraces()

    def __getattr__(self, name):
        return getattr(self._stores, name)


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
async def world(request: pytest.FixtureRequest, tmp_path) -> World:
    world = World(tmp_path / "lake", partitions=request.param)
    world.leases = LocalLeases(tmp_path / "leases")
    for day in range(40):
        deeds = [happened(day * 10 + n, f"u{n}", f"i{n % 3}", at=NOW + day * DAY) for n in range(7)]
        await world.record(*(msgspec.structs.replace(deed, ingested_at=NOW + day * DAY) for deed in deeds))
    return world


async def in_lake(world: World) -> None:
    await LakeWriter(world.log, world.leases, world.lake, LakeConfig()).run()


async def retained(world: World, **config: int) -> RetentionReport:
    return await retain(Retained(world.stores), RetentionConfig(**config), FixedClock(NOW + 40 * DAY))  # type: ignore[arg-type]


async def arrivals(world: World) -> list[int]:
    from kindred.core.event import decode_event

    found = []
    for end in await world.log.ends():
        found += [decode_event(each.data).ingested_at for each in await world.log.read(end._replace(offset=-1), 10_000)]
    return found


async def test_the_log_keeps_its_days(world: World) -> None:
    await world.drain()
    await in_lake(world)
    report = await retained(world, log_days=10)
    assert min(await arrivals(world)) == NOW + 30 * DAY
    assert len(await arrivals(world)) == 70
    assert report.records >= 210
    assert report.waits == []
    again = await retained(world, log_days=10)
    assert again.records == 0
    lake = LakeEvents(world.lake)
    assert sum(file.rows for file in lake.manifest().files) == 280


async def test_nothing_goes_before_the_lake_has_it(world: World) -> None:
    await world.drain()
    report = await retained(world, log_days=10)
    assert len(await arrivals(world)) == 280
    assert "not in the lake yet" in report.waits[0]


async def test_nothing_goes_before_every_consumer_has_it(world: World) -> None:
    await in_lake(world)
    report = await retained(world, log_days=10)
    assert len(await arrivals(world)) == 280
    assert "waits at" in report.waits[0]
    await world.drain()
    await retained(world, log_days=10)
    assert len(await arrivals(world)) == 70


async def test_the_last_record_stays_however_old(world: World) -> None:
    await world.drain()
    await in_lake(world)
    await retain(Retained(world.stores), RetentionConfig(log_days=1), FixedClock(NOW + 400 * DAY))  # type: ignore[arg-type]
    ends = [end for end in await world.log.ends() if end.offset >= 0]
    assert len(await arrivals(world)) == len(ends)
    await world.record(happened(9_999, "u1", "i1"))
    assert max(end.offset for end in await world.log.ends()) > 0


async def test_old_letters_go_and_young_ones_stay(world: World) -> None:
    await world.drain()
    await in_lake(world)
    ends = [end for end in await world.log.ends() if end.offset > 5]
    old = [DeadLetter(end._replace(offset=0), "unreadable", b"x") for end in ends]
    young = [DeadLetter(end, "unreadable", b"x") for end in ends]
    await world.letters.bury([*old, *young])
    assert (await retained(world, log_days=10)).letters == len(old)
    assert await world.letters.letters(None, 100) == sorted(young)


async def test_unreadable_records_do_not_stop_the_search(world: World) -> None:
    await world.log.append([(f"u{n}", b"\xc1 broken") for n in range(20)])
    await world.drain()
    await in_lake(world)
    await retained(world, log_days=10)
    kept = [
        record.data
        for end in await world.log.ends()
        for record in await world.log.read(end._replace(offset=-1), 10_000)
    ]
    assert len(kept) == 70 + 20


async def test_history_goes_by_age_only_where_it_is_asked_for(world: World) -> None:
    await world.drain()
    assert (await retained(world)).history == 0
    assert (await retained(world, history_days=15)).history == 25 * 7
    assert (await world.interactions.counts())[0] == 15 * 7


async def test_the_items_log_goes_with_the_events_that_it_came_from(tmp_path) -> None:
    world = World(tmp_path / "lake", partitions=3)
    world.leases = LocalLeases(tmp_path / "leases")
    for day in range(40):
        deeds = [happened(day * 10 + n, f"u{n}", f"i{n % 3}", at=NOW + day * DAY) for n in range(7)]
        await world.record(*(msgspec.structs.replace(deed, ingested_at=NOW + day * DAY) for deed in deeds))
        await world.drain()
    await in_lake(world)
    stores = Retained(world.stores)
    await world.letters.bury([DeadLetter(Position(0, ITEM_SIDE + part, 0), "x", b"x") for part in range(3)])
    report = await retain(stores, RetentionConfig(log_days=10), FixedClock(NOW + 40 * DAY))  # type: ignore[arg-type]
    firsts = [await world.item_log.read(end._replace(offset=-1), 1) for end in await world.item_log.ends()]
    held = [end.offset for end in await world.item_log.ends()]
    for first, last in zip(firsts, held, strict=True):
        assert not first or first[0].position.offset > last // 2
    assert report.letters == sum(bool(first) and first[0].position.offset > 0 for first in firsts)

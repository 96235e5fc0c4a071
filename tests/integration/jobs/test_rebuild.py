"""The state built anew is the live one, from log and lake; a changed fold takes over beside the old one."""

import asyncio
import random

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.integration.ingest.stores import NOW, QUICK, World, happened

from kindred.adapters.local.leases import LocalLeases
from kindred.adapters.local.state import LocalStateStore
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock
from kindred.core.errors import ConfigError, InvalidInput, LeaseHeld
from kindred.core.event import HistoryRemoved, Imported, Merged, ProfileErased, ProfileUpdated, Served
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import ERASED, ITEM, ITEM_COUNTRY, USER, FoldConfig, item_key, user_key
from kindred.features.users import decode_user
from kindred.ingest.consumer import LEASE
from kindred.ingest.fold_columns import NOBODY, FoldColumns, fold_parts
from kindred.ingest.importing.lake import ImportManifest, Lake
from kindred.jobs.compaction import Compactor
from kindred.jobs.comparison import compare
from kindred.jobs.config import LakeConfig
from kindred.jobs.forgotten_acts import ForgottenActs
from kindred.jobs.lake import LakeWriter
from kindred.jobs.rebuild import Rebuild, take_over
from kindred.ports.state import StateRecord, StateWrite
from kindred.training.lake_events import LakeEvents

DAY = 86_400_000


def deeds(count, seed=1, first=0):
    """Return events of every kind that a fold knows."""
    chance = random.Random(seed)
    found = []
    for n in range(first, first + count):
        user, item = f"u{chance.randrange(12)}", f"i{chance.randrange(9)}"
        kind = chance.choice(["view", "click", "purchase", "rating", "like", "dislike", "impression"])
        more = {"rating": 4.0} if kind == "rating" else {"price": 2.5} if kind == "purchase" else {}
        deed = happened(n, user, item, kind, location=chance.choice([None, "DE", "FR-IDF"]), **more)
        device = chance.choice([None, "tv", "fridge"])
        found.append(msgspec.structs.replace(deed, context=msgspec.structs.replace(deed.context, device=device)))
        at = {"timestamp": NOW, "ingested_at": NOW}
        match chance.randrange(25):
            case 0:
                found.append(ProfileUpdated(event_id=f"p{n}", profile=Profile(user_id=user, country="DE"), **at))
            case 1:
                shown = [f"i{chance.randrange(9)}" for _ in range(3)]
                found.append(
                    Served(
                        event_id=f"s{n}", user_id=user, request_id=f"rec_{n}", placement="home", bundle="b",
                        items=shown, propensities=[1.0] * 3, sources=["als"] * 3, **at,
                    )
                )  # fmt: skip
            case 2:
                found.append(HistoryRemoved(event_id=f"r{n}", user_id=user, item_id=item, **at))
            case 3:
                found.append(Merged(event_id=f"m{n}", user_id=f"anon{chance.randrange(3)}", into=user, **at))
            case 4:
                found.append(happened(10_000 + n, f"anon{chance.randrange(3)}", item))
            case 5:
                found.append(happened(n, user, item, "view"))
    return found


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
async def world(request: pytest.FixtureRequest, tmp_path) -> World:
    world = World(tmp_path / "lake", partitions=request.param)
    world.leases = LocalLeases(tmp_path / "leases")
    return world


async def to_lake(world: World) -> None:
    await LakeWriter(world.log, world.leases, world.lake, LakeConfig(step_rows=50)).run()


def rebuild(world: World, source="log", fresh=None, config=None) -> Rebuild:
    return Rebuild(world.stores, fresh or MemoryStateStore(), config, source, world.clock)


async def partitions(world: World) -> list[int]:
    return [end.partition for end in await world.log.ends()]


@pytest.mark.parametrize("source", ["log", "lake", "trimmed"])
async def test_a_state_built_anew_is_the_live_one(world: World, source: str) -> None:
    await world.record(*deeds(250))
    await world.record(ProfileErased(event_id="x", user_id="u3", timestamp=NOW, ingested_at=NOW), *deeds(50, 2, 300))
    await world.drain()
    if source != "log":
        await to_lake(world)
        await world.record(*deeds(30, 3, 400))
        await world.drain()
    if source == "trimmed":
        for end in LakeEvents(world.lake).manifest().ends().values():
            await world.log.trim(end._replace(offset=end.offset - 5))
    before = await world.log.ends()
    report = await compare(rebuild(world, "log" if source == "log" else "lake"), world.state, await partitions(world))
    assert report.differing == []
    assert report.compared[USER] >= 10
    assert report.compared[ITEM] == 9
    assert report.compared[ERASED] == 1
    assert await world.log.ends() == before, "nothing is appended again"


async def test_every_difference_is_named(world: World) -> None:
    await world.record(*deeds(150))
    await world.drain()
    changed, gone, extra = user_key("u1"), item_key(2), user_key("nobody")
    view = await world.state.read([changed, gone])
    for key, record, value in zip(
        (changed, gone), view.records, (view.records[0].value[:-1] + b"\x01", b""), strict=True
    ):
        place = record.position
        world.state._store._records[key] = StateRecord(place, value)
    await world.state.write([StateWrite(extra, StateRecord(Position(0, 0, 1), b"\x90"))], Position(0, 0, 0))
    report = await compare(rebuild(world), world.state, await partitions(world))
    assert (report.equal, report.total) == (False, 3)
    assert set(report.differing) == {changed, gone, extra}


async def test_a_trimmed_log_alone_is_refused(tmp_path) -> None:
    world = World(tmp_path / "lake")
    await world.record(*deeds(50))
    await world.drain()
    await world.log.trim(Position(0, 0, 20))
    with pytest.raises(InvalidInput, match="--from lake"):
        await compare(rebuild(world), world.state, [0])
    world.leases = LocalLeases(tmp_path / "leases")
    await to_lake(world)
    with pytest.raises(InvalidInput, match="never held"):
        await compare(rebuild(world, "lake"), world.state, [0])


async def test_a_gap_between_lake_and_log_is_said(tmp_path) -> None:
    world = World(tmp_path / "lake")
    world.leases = LocalLeases(tmp_path / "leases")
    await world.record(*deeds(20))
    await to_lake(world)
    await world.record(*deeds(20, 2, 100))
    await world.drain()
    await world.log.trim((await world.log.ends())[0])
    with pytest.raises(InvalidInput, match="records are missing"):
        await compare(rebuild(world, "lake"), world.state, [0])


async def test_people_forgotten_by_the_lake_stay_forgotten(tmp_path) -> None:
    world = World(tmp_path / "lake")
    world.leases = LocalLeases(tmp_path / "leases")
    await world.record(happened(1, "ann", "i1"), happened(2, "bob", "i2"))
    await world.record(ProfileErased(event_id="x", user_id="ann", timestamp=NOW, ingested_at=NOW))
    await world.record(happened(3, "bob", "i2"))
    await world.drain()
    await to_lake(world)
    await Compactor(world.leases, world.lake, clock=FixedClock(NOW + DAY), acts=ForgottenActs(world)).run()
    await world.log.trim((await world.log.ends())[0])
    built = rebuild(world, "lake")
    report = await compare(built, world.state, [0])
    assert report.differing == []
    assert report.compared[ERASED] == 1
    assert report.compared[USER] == 1


async def test_what_forgotten_people_did_to_items_stays_in_the_lake(world: World) -> None:
    """Outcomes of exposures, repeats, countries, merged users, more than one request; and nobody's name is left."""
    at = {"timestamp": NOW, "ingested_at": NOW}
    await world.record(*deeds(250))
    await world.record(*(ProfileErased(event_id=f"x{n}", user_id=f"u{n}", **at) for n in range(0, 12, 2)))
    await world.drain()
    await world.record(*(ProfileErased(event_id=f"y{n}", user_id=f"anon{n}", **at) for n in range(3)))
    await world.record(*deeds(120, 2, 300))
    await world.drain()
    await to_lake(world)
    compactor = Compactor(world.leases, world.lake, clock=FixedClock(NOW + DAY), acts=ForgottenActs(world))
    assert (await compactor.run()).erased_rows > 50
    await world.record(ProfileErased(event_id="z", user_id="u2", **at), *deeds(30, 3, 500))
    await world.drain()
    await to_lake(world)
    await compactor.run()
    for end in await world.log.ends():
        await world.log.trim(end)
    report = await compare(rebuild(world, "lake"), world.state, await partitions(world))
    assert report.differing == []
    assert report.compared[ITEM] == 9
    lake = LakeEvents(world.lake)
    rows = lake.scan(lake.manifest().files).filter(pl.col("kind") == "anonymous").collect()
    assert rows["user_id"].null_count() == rows["event_id"].null_count() == rows["request_id"].null_count() == len(rows)
    assert len(rows) > 50


async def test_what_forgotten_people_brought_by_an_import_stays_with_the_items(tmp_path) -> None:
    """Their rows become nobody's; a second person's join them, and nobody has a record."""
    world = World(tmp_path / "lake")
    world.leases = LocalLeases(tmp_path / "leases")
    at = {"timestamp": NOW, "ingested_at": NOW}
    ordinals = await world.catalog.resolve(["i0", "i1", "i2"], NOW)
    people, rows = ["ann", "bob", "cid"], [("ann", 0), ("ann", 1), ("bob", 1), ("cid", 2), ("cid", 0), ("cid", 1)]
    lake = Lake(world.lake)
    staged = lake.stage("imp")
    columns = FoldColumns(
        people,
        np.cumsum([0, *(sum(user == each for user, _ in rows) for each in people)]).astype(np.int64),
        np.array([ordinals[item] for _, item in rows], np.int32),
        np.array([NOW - DAY + n for n in range(len(rows))], np.int64),
        np.zeros(len(rows), np.uint8),
        np.full(len(rows), np.nan, np.float32),
        ("purchase",),
        [msgspec.msgpack.encode(Profile(user_id="ann", country="DE")), b"", b""],
    )
    columns.save(staged.folder / "fold" / "part-00000.npz")
    manifest = ImportManifest(import_id="imp", source="shop", created=NOW)
    lake.commit(staged, manifest)
    (place,) = await world.record(Imported(**at, event_id="imp", import_id="imp", source="shop"))
    lake.close(manifest, str(place))
    await world.record(happened(1, "ann", "i2", location="FR"), happened(2, "bob", "i2"))
    for user, count in (("ann", 2), ("cid", 5)):
        await world.record(ProfileErased(event_id=f"x{user}", user_id=user, **at))
        await world.drain()
        await to_lake(world)
        acts = ForgottenActs(world)
        await Compactor(world.leases, world.lake, clock=FixedClock(NOW + DAY), acts=acts).run()
        (path,) = fold_parts(world.lake, "imp")
        left = FoldColumns.load(path)
        assert user not in left.users
        assert int(np.diff(left.starts)[list(left.users).index(NOBODY)]) == count
        report = await compare(rebuild(world, "lake"), world.state, [0])
        assert report.differing == []
        assert report.compared[USER] == (2 if user == "ann" else 1)
        assert report.compared[ITEM_COUNTRY] == 3


async def test_a_record_that_moves_on_is_compared_where_it_moved_to(tmp_path) -> None:
    world = World(tmp_path / "lake")
    await world.record(*deeds(100))
    await world.drain()
    built = rebuild(world)
    await built.fold_to({0: await world.state.watermark(0)})

    class Moving:
        """The live state, which is folded on before each group is looked through."""

        turn = 0

        def __getattr__(self, name):
            return getattr(world.state, name)

        async def scan(self, group):
            self.turn += 1
            await world.record(*deeds(20, self.turn, 1_000 * self.turn))
            await world.drain()
            async for row in world.state.scan(group):
                yield row

    report = await compare(built, Moving(), [0])
    assert report.differing == []
    assert report.positions[0] == (await world.log.ends())[0]


async def test_a_rebuild_goes_on_after_the_live_fold_in_every_partition(world: World) -> None:
    """What is folded later may be of a partition that stands before the others."""
    built = rebuild(world)
    for turn in range(3):
        await world.record(*deeds(60, turn, 1_000 * turn))
        await world.drain()
        assert (await compare(built, world.state, await partitions(world))).differing == []


async def test_the_fold_of_a_fleets_items_goes_on_from_a_rebuild_of_a_later_epoch(tmp_path) -> None:
    """The events' log was repartitioned, that of the items was not; nothing of the items is refused as old."""
    world = World(tmp_path / "lake", partitions=3)
    for turn in range(2):
        await world.record(*deeds(60, turn, 1_000 * turn))
        await world.drain()
        await world.log._store.repartition(4 + turn)
    fresh = MemoryStateStore()
    await rebuild(world, fresh=fresh).fold_to({})
    world.state = fresh
    await world.record(*deeds(60, 9, 9_000))
    await world.drain()
    assert (await compare(rebuild(world), fresh, await partitions(world))).differing == []


async def states(tmp_path) -> tuple[LocalStateStore, LocalStateStore]:
    return LocalStateStore(tmp_path / "live"), LocalStateStore(tmp_path / "fresh")


async def test_a_damaged_state_is_replaced_when_the_consumer_has_stopped(tmp_path) -> None:
    world = World(tmp_path / "lake")
    world.state, fresh = await states(tmp_path)
    await world.record(*deeds(100))
    await world.drain()
    kept = (await world.state.read([user_key("u1")])).records[0]
    await world.state.write(
        [StateWrite(user_key("u1"), StateRecord(Position(0, 0, 10**6), b"\x90"))], Position(0, 0, 0)
    )
    built = rebuild(world, fresh=fresh)
    assert not (await compare(built, world.state, [0])).equal
    fence = await world.leases.acquire(LEASE, "a consumer")
    with pytest.raises(LeaseHeld, match="a consumer"):
        await take_over(built, world.state, world.leases, world.log, patience=0.2)
    await world.leases.release(LEASE, fence)
    await world.record(*deeds(20, 5, 500))
    mark = await world.state.watermark(0)
    assert await take_over(built, world.state, world.leases, world.log) > 10
    assert (await world.state.read([user_key("u1")])).records[0] == kept
    assert await world.state.watermark(0) == mark, "what the live fold had not come to is left to it"
    await world.drain()
    assert (await compare(rebuild(world), world.state, [0])).equal
    await world.state.close()
    await fresh.close()


async def test_a_state_that_cannot_be_exchanged_says_what_to_do(world: World) -> None:
    class Plain:
        pass

    with pytest.raises(ConfigError, match="--into"):
        await take_over(rebuild(world), Plain(), world.leases, world.log)  # type: ignore[arg-type]


def without_device(value: bytes):
    """Return what a user's record says besides the counters of devices."""
    from kindred.features.counters import BUCKET_BITS, ENTRY
    from kindred.features.user_counters import USER_COUNTERS

    record = decode_user(value)
    names = {counter.kind: counter.name for counter in USER_COUNTERS.counters}
    entries = np.frombuffer(record.counters, ENTRY).tolist()
    counters = [(slot, amount) for slot, amount in entries if "device" not in names[slot >> BUCKET_BITS]]
    return counters, record.items, record.timestamps, record.sessions, record.exposures, record.outcomes, record.seen


async def test_a_feature_added_under_load_changes_no_other_value(tmp_path) -> None:
    """The new fold is built beside the old one while that goes on, then takes over; events come all the time."""
    world = World(tmp_path / "lake")
    world.state, fresh = await states(tmp_path)
    new = FoldConfig(devices=(*FoldConfig().devices, "fridge"))
    stop, loaded = asyncio.Event(), asyncio.Event()

    async def load() -> None:
        for turn in range(60):
            await world.record(*deeds(10, turn, turn * 100))
            await asyncio.sleep(0.005)
            if turn == 20:
                loaded.set()

    old_consumer = world.consumer()
    consuming, loading = asyncio.create_task(old_consumer.run(stop)), asyncio.create_task(load())
    await loaded.wait()
    built = rebuild(world, fresh=fresh, config=new)
    taking = asyncio.create_task(take_over(built, world.state, world.leases, world.log, patience=20))
    await asyncio.sleep(0.05)
    stop.set()
    old_consumer.wake()
    await consuming
    await taking
    after = World(tmp_path / "lake", type(QUICK)(fold=new), log=world.log, catalog=world.catalog, leases=world.leases)
    after.state = world.state
    again = asyncio.Event()
    consuming = asyncio.create_task(after.consumer().run(again))
    await loading
    again.set()
    await consuming
    await after.drain()
    assert (await compare(rebuild(world, config=new), world.state, [0])).equal
    old = rebuild(world)
    await old.fold_to({})
    for group in (ITEM, USER):
        mine = {key: record.value async for key, record in world.state.scan(group)}
        theirs = {key: record.value async for key, record in old.fresh.scan(group)}
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            if group == USER:
                assert without_device(value) == without_device(theirs[key])
            else:
                assert value == theirs[key]
        assert (group == USER) == (mine != theirs), "the feature was added, to users alone"
    await world.state.close()
    await fresh.close()

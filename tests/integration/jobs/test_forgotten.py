"""Nothing brings a forgotten person back: no older state beside the newer log, no dead letter, no lake."""

import shutil
from pathlib import Path

from tests.integration.ingest.stores import QUICK, World, happened

from kindred.app.sections import StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.clock import FixedClock
from kindred.core.event import Merged, ProfileErased, ProfileUpdated, encode_event, partition_key
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import erased_key, user_key
from kindred.ingest.consumer import Consumer
from kindred.ingest.folding import IngestStores
from kindred.jobs.compaction import Compactor
from kindred.jobs.dead_letters import replay_letters
from kindred.jobs.lake import LakeWriter
from kindred.jobs.lake_query import query
from kindred.jobs.restore import Forgotten, RestoreReport, begin_again, forgotten_in
from kindred.ports.log import DeadLetter

NOW = 1_700_000_000_000
STAMP = {"timestamp": NOW, "ingested_at": NOW}
CLOCK = FixedClock(NOW + 30 * 86_400_000)


def ingest(stores: Stores) -> IngestStores:
    return IngestStores(
        stores.log,
        stores.state,
        stores.interactions,
        stores.catalog,
        stores.profiles,
        stores.lake,
        stores.dead_letters,
        stores.item_log,
    )


async def fold(stores: Stores) -> None:
    """Fold until the log's end stays where it is: a merge adds to it."""
    ends = None
    while ends != (ends := await stores.log.ends()):
        await Consumer(ingest(stores), stores.leases, QUICK, clock=CLOCK).drain_to(*ends, timeout=60)


async def recorded(stores: Stores, *events) -> list[Position]:  # type: ignore[no-untyped-def]
    """Append events and fold them."""
    placed = await stores.log.append([(partition_key(event), encode_event(event)) for event in events])
    await fold(stores)
    return placed


async def assert_forgotten(stores: Stores) -> None:
    """Ann and her anonymous past are nowhere; Bob is whole."""
    found = (await stores.state.read([user_key("ann"), user_key("bob")])).records
    assert found[0] is None
    assert found[1] is not None
    keys = [key async for key, _ in stores.state.scan(user_key("ann").group)]
    assert "ann" not in keys
    assert await stores.interactions.by_user("ann", 10) == []
    assert await stores.interactions.by_user("anon", 10) == []
    assert len(await stores.interactions.by_user("bob", 10)) == 2
    assert await stores.profiles.get(["ann"]) == [None]


async def test_an_older_state_the_dead_letters_and_the_lake_bring_nobody_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    placed = await recorded(
        stores,
        happened(1, "ann", "i1"),
        happened(2, "anon", "i2"),
        happened(3, "bob", "i1"),
        ProfileUpdated(**STAMP, event_id="p", profile=Profile(user_id="ann", country="DE")),
        Merged(**STAMP, event_id="m", user_id="anon", into="ann"),
    )
    assert len(await stores.interactions.by_user("ann", 10)) == 2
    await stores.close()
    shutil.copytree(home / "state", tmp_path / "older")

    stores = await open_stores(StoresConfig(), home)
    await recorded(stores, happened(4, "bob", "i3"), ProfileErased(**STAMP, event_id="gone", user_id="ann"))
    await assert_forgotten(stores)
    await stores.close()

    shutil.rmtree(home / "state")
    shutil.copytree(tmp_path / "older", home / "state")
    stores = await open_stores(StoresConfig(), home)
    try:
        assert (await stores.state.read([user_key("ann")])).records[0] is not None, "the older state knows her"
        await fold(stores)
        await assert_forgotten(stores)

        letters = [(placed[0], happened(8, "ann", "i8")), (placed[1], happened(9, "anon", "i9"))]
        await stores.dead_letters.bury([DeadLetter(place, "a test", encode_event(event)) for place, event in letters])
        report = await replay_letters(ingest(stores))
        assert (report.replayed, report.erased) == (0, 2)
        await fold(stores)
        await assert_forgotten(stores)

        await LakeWriter(stores.log, stores.leases, stores.lake, clock=CLOCK).run()
        await Compactor(stores.leases, stores.lake, clock=CLOCK).run()
        left = await query(stores.lake, stores.catalog, "SELECT user_id, metadata FROM events")
        assert set(left["user_id"].drop_nulls()) == {"bob"}
        assert "ann" not in "".join(left["metadata"].drop_nulls())
    finally:
        await stores.close()


async def test_whoever_an_event_names_is_forgotten_by_a_restore(tmp_path: Path) -> None:
    """The newer folder knows a hash alone, and of the restored one only the log's tail tells the name."""
    world = World(tmp_path / "lake")
    await world.record(
        ProfileUpdated(**STAMP, event_id="p", profile=Profile(user_id="ann", country="DE")),
        Merged(**STAMP, event_id="m", user_id="cookie", into="eve"),
        ProfileUpdated(**STAMP, event_id="q", profile=Profile(user_id="bob", country="DE")),
    )
    newer = Forgotten({erased_key(name).key: Position(0, 0, 9) for name in ("ann", "eve")})
    report = RestoreReport()
    await begin_again(world, newer, report, CLOCK)
    assert len(report.positions) == 2
    await world.drain()
    found = await world.profiles.get(["ann", "bob"])
    assert [each and each.user_id for each in found] == [None, "bob"]


async def test_who_was_merged_after_a_request_is_not_forgotten_by_a_restore(tmp_path: Path) -> None:
    """The person had come back: the newer folder's log says so."""
    world = World(tmp_path / "lake")
    later = {"timestamp": NOW + 9, "ingested_at": NOW + 9}
    await world.record(
        Merged(**STAMP, event_id="m1", user_id="phone", into="ann"),
        ProfileErased(**STAMP, event_id="x", user_id="ann"),
        Merged(**later, event_id="m2", user_id="laptop", into="ann"),
    )
    assert set((await forgotten_in(world)).names) == {"ann", "phone"}

"""The consumer against memory stores: exactly once in effect, patient, and never losing a neighbour."""

import asyncio
import gc
import sys
import types

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.ingest.stores import NOW, World, happened

from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.event import (
    ItemDeleted,
    ItemUpserted,
    Merged,
    ProfileErased,
    ProfileUpdated,
    Served,
)
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.features.country_trends import window_trends_key
from kindred.features.groups import erased_key, user_key
from kindred.features.trending_list import decode_trending
from kindred.features.users import UserRecord, encode_user
from kindred.ingest.journal import Journal, folded
from kindred.ports.state import StateRecord, StateWrite

USERS, ITEMS = ["ann", "bob", "eve"], ["x", "y", "z"]
STAMP = {"event_id": "evt_s", "timestamp": NOW, "ingested_at": NOW}

_streams = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(ITEMS),
        st.sampled_from(["view", "like", "purchase", "impression"]),
        st.integers(0, 5),
        st.integers(0, 3_000_000),
    ),
    max_size=25,
)


def events_of(stream):
    """Turn drawn tuples into interactions; ids repeat, times jump."""
    return [
        happened(n, user, item, kind, event_id=f"evt_{event}", at=NOW - back)
        for n, (user, item, kind, event, back) in enumerate(stream)
    ]


async def start(task_set, consumer):
    """Run a consumer in the background; return its stop event."""
    stop = asyncio.Event()
    task_set.append((asyncio.create_task(consumer.run(stop)), stop))
    return stop


@pytest.fixture
async def running():
    """Background consumers, stopped at the end."""
    tasks = []
    yield tasks
    for task, stop in tasks:
        stop.set()
        await asyncio.wait_for(task, 10)


async def reached(world, position):
    """Wait until the state holds a position."""
    assert await folded(world.state, position, 10)


@settings(max_examples=40, deadline=None)
@given(_streams, st.integers(1, 7))
def test_batches_of_any_size_give_the_same_picture(tmp_path_factory, stream, batch):
    """State, item counts and history do not depend on how the log was cut."""

    async def both():
        pictures = []
        for size in (2_000, batch):
            world = World(tmp_path_factory.getbasetemp())
            await world.record(*events_of(stream))
            await world.drain(batch=size)
            pictures.append(await world.picture(USERS, ITEMS))
        return pictures

    whole, parts = asyncio.run(both())
    assert whole == parts


@settings(max_examples=40, deadline=None)
@given(_streams, st.sampled_from(["commit", "write", "add", "read", "resolve"]), st.integers(1, 6))
def test_a_crash_at_any_step_changes_nothing(tmp_path_factory, stream, step, batch):
    """A consumer dies at a store's call; a new one, which starts where state and log agree, makes the same picture."""

    async def both():
        calm, torn = World(tmp_path_factory.getbasetemp()), World(tmp_path_factory.getbasetemp())
        for world in (calm, torn):
            await world.record(*events_of(stream))
        await calm.drain()
        ends = await torn.log.ends()
        for store in (torn.log, torn.state, torn.interactions, torn.catalog):
            store.failures[step] = 1
        for _ in range(8):
            try:
                await torn.consumer(batch=batch).drain_to(*ends, timeout=60)
                break
            except StoreUnavailable:
                continue
        for store in (torn.log, torn.state, torn.interactions, torn.catalog):
            store.failures.clear()
        assert await torn.state.watermark() >= ends[0]
        return await calm.picture(USERS, ITEMS), await torn.picture(USERS, ITEMS)

    calm, torn = asyncio.run(both())
    assert calm == torn


async def test_an_old_commit_replays_without_effect(tmp_path):
    """The state is written and the log's commit is lost: folding again changes nothing."""
    world = World(tmp_path)
    await world.record(*(happened(n, USERS[n % 3], ITEMS[n % 2]) for n in range(30)))
    await world.drain()
    before = await world.picture(USERS, ITEMS)
    world.log._store._committed.clear()
    (last,) = await world.record(happened(99, "eve", "z"))
    await world.drain(batch=7)
    after = await world.picture(USERS, ITEMS)
    assert after[0]["ann"] == before[0]["ann"]
    assert after[1]["x"] == before[1]["x"]
    assert (await world.item("z")).count("view") == 1
    assert (await world.log.committed("consumer"))[0] == last


async def test_poison_is_buried_and_neighbours_are_folded(tmp_path):
    """Bytes that are no event, an event that breaks a rule: dead letters with reasons; the rest counts."""
    world = World(tmp_path)
    await world.record(happened(0, "ann", "x"))
    await world.log.append([("k", b"\x00garbage"), ("k", b"")])
    await world.record(happened(1, "ann", "y", kind="rating", rating="high"), happened(2, "ann", "z"))
    await world.drain()
    letters = await world.letters.letters(None, 10)
    assert [letter.position.offset for letter in letters] == [1, 2, 3]
    assert letters[0].data == b"\x00garbage"
    assert "rating" in letters[2].reason
    assert (await world.user("ann")).interactions == 2


async def test_a_record_that_breaks_the_fold_is_narrowed_down(tmp_path):
    """A damaged user record stops that user's events alone, not the stream."""
    world = World(tmp_path)
    await world.state.write([StateWrite(user_key("bob"), StateRecord(START, b"\x93broken"))], START)
    await world.record(*(happened(n, "bob" if n == 5 else "ann", "x") for n in range(12)))
    await world.drain()
    letters = await world.letters.letters(None, 10)
    assert [(letter.position.offset, letter.reason.split(":")[0]) for letter in letters] == [(5, "fold_failed")]
    assert (await world.user("ann")).interactions == 11
    assert (await world.item("x")).count("view") == 11


async def damaged(world, user, value=b"\x93broken"):
    """Damage a user's record where it stands."""
    (stored,) = (await world.state.read([user_key(user)])).records
    world.state._store._records[user_key(user)] = StateRecord(stored.position, value)


# Bytes of no record, and a record whose columns are cut off: it is decoded, and breaks when it is read.
@pytest.mark.parametrize("value", [b"\x93broken", encode_user(UserRecord(items=b"abc", timestamps=b"d"))])
async def test_a_user_whose_record_is_damaged_can_be_forgotten(tmp_path, value):
    """With profile and history, and never buried; what they did since the damage is a dead letter with its reason."""
    world = World(tmp_path)
    await world.record(ProfileUpdated(**STAMP, profile=Profile(user_id="bob")), happened(0, "bob", "x"))
    await world.drain()
    await damaged(world, "bob", value)
    asked = STAMP | {"event_id": "evt_e", "ingested_at": NOW + 10}
    _, place, _ = await world.record(
        happened(1, "bob", "x"), ProfileErased(**asked, user_id="bob"), happened(2, "eve", "x")
    )
    await world.drain()
    (letter,) = await world.letters.letters(None, 10)
    assert (letter.position.offset, letter.reason.split(":")[0]) == (place.offset - 1, "fold_failed")
    user, mark = (await world.state.read([user_key("bob"), erased_key("bob")])).records
    assert (user, mark.position) == (None, place)
    assert await world.interactions.by_user("bob", 10) == []
    assert await world.profiles.get(["bob"]) == [None]
    await world.record(msgspec.structs.replace(happened(3, "bob", "x"), ingested_at=NOW + 20))
    await world.drain()
    assert (await world.user("bob")).interactions == 1


async def test_a_request_to_be_forgotten_that_cannot_be_folded_is_waited_for(tmp_path):
    """It is never a dead letter, behind which it would look done."""
    world = World(tmp_path)
    (place,) = await world.record(ProfileErased(**STAMP, user_id="bob"))
    await world.state.write([StateWrite(erased_key("bob"), StateRecord(START, b"\xff"))], START)
    with pytest.raises(InvalidInput, match="mark of an erasure"):
        await world.drain()
    assert await world.letters.letters(None, 10) == []
    assert await world.state.watermark() < place


async def test_profiles_of_merged_people(tmp_path):
    """The known user has what was known of the anonymous one, and what is said under that name later is theirs."""
    world = World(tmp_path)

    def profile(user, country):
        return ProfileUpdated(**STAMP, profile=Profile(user_id=user, country=country))

    async def countries():
        found = await world.profiles.get(["anon", "ann", "eve"])
        records = [(await world.user(user)).profile for user in ("ann", "eve")]
        assert [each for each in records if each] == [each for each in found[1:] if each]
        return [each and each.country for each in found]

    await world.record(profile("anon", "DE"), profile("eve", "FR"))
    for user, into in (("anon", "ann"), ("anon2", "eve")):
        await world.record(Merged(**STAMP | {"event_id": f"merge_{user}"}, user_id=user, into=into))
    await world.record(profile("anon2", "IT"))
    await world.drain()
    assert await countries() == ["DE", "DE", "IT"]
    await world.record(profile("anon", "US"), ProfileErased(**STAMP, user_id="eve"))
    await world.drain()
    assert await world.profiles.get(["eve"]) == [None]
    found = await world.profiles.get(["anon", "ann"])
    assert [each.country for each in found] == ["DE", "US"]
    assert (await world.user("ann")).profile.country == "US"


async def test_what_a_merged_user_chose_goes_along(tmp_path):
    """Where the known user chose nothing of that kind, and it goes with them when they are erased."""
    world = World(tmp_path)
    anonymous = Profile(user_id="anon", country="DE", preferred_categories=("drama",), preferred_tags=("slow",))
    known = Profile(user_id="ann", country="FR", preferred_tags=("quick",))
    await world.record(*(ProfileUpdated(**STAMP, profile=each) for each in (anonymous, known)))
    await world.record(Merged(**STAMP | {"event_id": "merge"}, user_id="anon", into="ann"))
    await world.drain()
    united = Profile(user_id="ann", country="FR", preferred_categories=("drama",), preferred_tags=("quick",))
    assert (await world.user("ann")).profile == united
    assert await world.profiles.get(["ann"]) == [united]
    await world.record(ProfileErased(**STAMP, user_id="ann"))
    await world.drain()
    assert await world.user("ann") is None
    assert await world.profiles.get(["ann"]) == [None]


async def test_a_store_that_is_down_is_waited_for(tmp_path, running):
    """Nothing is skipped and nothing is counted twice while stores fail one after another."""
    world = World(tmp_path)
    consumer = world.consumer()
    for store, method in ((world.state, "write"), (world.interactions, "add"), (world.log, "read")):
        store.failures[method] = 3
    await start(running, consumer)
    positions = await world.record(*(happened(n, "ann", "x") for n in range(10)))
    await reached(world, positions[-1])
    assert world.state.failed + world.interactions.failed + world.log.failed == 9
    assert (await world.user("ann")).interactions == 10
    assert (await world.item("x")).count("view") == 10
    assert (await world.interactions.counts())[0] == 10
    assert await world.letters.letters(None, 1) == []


async def test_a_stalled_consumer_says_why(tmp_path, running):
    """Its status names the cause, and is an owner's again afterwards."""
    world = World(tmp_path)
    consumer = world.consumer()
    world.state.failures["write"] = 10**6
    await start(running, consumer)
    (position,) = await world.record(happened(0, "ann", "x"))
    while consumer.status.role != "stalled":
        await asyncio.sleep(0.001)
    assert "write is down" in consumer.status.cause
    world.state.failures.clear()
    await reached(world, position)
    while consumer.status.role != "owner":
        await asyncio.sleep(0.001)
    assert consumer.status.cause == ""


async def test_a_standby_takes_over(tmp_path, running):
    """Two consumers on the same stores: one folds, the other waits for the lease."""
    world = World(tmp_path)
    first, second = world.consumer(), world.consumer()
    stop = await start(running, first)
    while first.status.role != "owner":
        await asyncio.sleep(0.001)
    await start(running, second)
    while second.status.role != "standby":
        await asyncio.sleep(0.001)
    await reached(world, (await world.record(happened(0, "ann", "x")))[0])
    assert second.status.role == "standby"
    stop.set()
    await reached(world, (await world.record(happened(1, "ann", "x")))[0])
    assert second.status.role == "owner"
    assert first.status.role == "stopped"
    assert (await world.item("x")).count("view") == 2


async def test_a_journal_wakes_the_consumer_of_its_process(tmp_path, running):
    """With a poll of minutes, the fold still follows the append."""
    world = World(tmp_path)
    consumer = world.consumer(idle_poll=300.0)
    await start(running, consumer)
    while consumer.status.role != "owner":
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    (position,) = await Journal(world.log, consumer.wake).record([happened(0, "ann", "x")])
    await reached(world, position)
    running[0][1].set()
    consumer.wake()


async def test_items_and_profiles_follow_the_log(tmp_path):
    """The last word counts; an unknown item is reserved, and listed by its upsert later."""
    world = World(tmp_path)
    await world.record(ItemUpserted(**STAMP, item=Item(item_id="gone")))
    await world.drain()
    await world.record(
        happened(0, "ann", "unknown"),
        ItemUpserted(**STAMP, item=Item(item_id="x", title="one")),
        ItemUpserted(**STAMP, item=Item(item_id="x", title="two")),
        ItemDeleted(**STAMP, item_id="gone"),
        ProfileUpdated(**STAMP, profile=Profile(user_id="ann", country="DE")),
        Served(
            **STAMP, user_id="ann", request_id="r", placement="home", bundle="b", items=[], propensities=[], sources=[]
        ),
    )
    await world.drain()
    x, gone, unknown = await world.catalog.get(["x", "gone", "unknown"])
    assert x.item.title == "two"
    assert x.listed
    assert not gone.listed
    assert not unknown.listed
    assert (await world.profiles.get(["ann"]))[0].country == "DE"
    record = await world.user("ann")
    assert record.profile.country == "DE"
    assert record.seen_items().tolist() == [unknown.ordinal]
    await world.record(ItemUpserted(**STAMP, item=Item(item_id="unknown", title="known")))
    await world.drain()
    assert (await world.catalog.get(["unknown"]))[0].ordinal == unknown.ordinal


async def test_a_replay_does_not_turn_the_catalogue_back(tmp_path):
    """What an old upsert said is not said again after something newer was written beside the log."""
    world = World(tmp_path)
    await world.record(ItemUpserted(**STAMP, item=Item(item_id="x", title="old")))
    await world.drain()
    await world.catalog.upsert([Item(item_id="x", title="imported")], NOW)
    world.log._store._committed.clear()
    await world.record(happened(0, "ann", "x"))
    await world.drain()
    assert (await world.catalog.get(["x"]))[0].item.title == "imported"


@pytest.mark.parametrize("batch", [1, 3, 100])
async def test_an_erased_user_is_forgotten_and_may_come_back(tmp_path, batch):
    """Rows, record and profile go; items keep their counts; a replay brings nothing back; later events count."""
    world = World(tmp_path)
    await world.record(
        happened(0, "ann", "x"),
        ProfileUpdated(**STAMP, profile=Profile(user_id="ann", country="DE")),
        happened(1, "bob", "x"),
        ProfileErased(**STAMP, user_id="ann"),
    )
    await world.drain(batch=batch)
    assert await world.user("ann") is None
    assert await world.profiles.get(["ann"]) == [None]
    assert await world.interactions.by_user("ann", 10) == []
    assert (await world.item("x")).count("view") == 2
    world.log._store._committed.clear()
    await world.record(happened(2, "ann", "y"))
    await world.drain(batch=batch)
    assert (await world.user("ann")).interactions == 1
    assert len(await world.interactions.by_user("ann", 10)) == 1
    assert (await world.item("x")).count("view") == 2


async def test_trending_lists_are_written(tmp_path):
    """Enough views of one item put it on the list of every window, at the batch's position."""
    world = World(tmp_path)
    await world.record(*(happened(n, f"u{n}", "x", at=NOW) for n in range(8)))
    await world.drain()
    view = await world.state.read([window_trends_key("1h"), window_trends_key("7d")])
    ordinal = (await world.catalog.get(["x"]))[0].ordinal
    for stored in view.records:
        read = decode_trending(stored.value)
        assert read.as_of == NOW
        assert read.columns()[0].tolist() == [ordinal]


async def test_waiting_for_a_position(tmp_path):
    """`folded` says whether the state got there in time; a position that the log lacks is an error, not a hang."""
    world = World(tmp_path)
    (position,) = await world.record(happened(0, "ann", "x"))
    assert not await folded(world.state, position, 0.01)
    await world.drain()
    assert await folded(world.state, position, 0.01)
    with pytest.raises(InvalidInput, match="not a position of this log"):
        await world.consumer().drain_to(Position(0, 0, 77), timeout=5)


async def test_the_memory_of_a_consumer_stays_bounded(tmp_path, running):
    """A hundred batches of ever new users leave no more behind than one of them."""
    world = World(tmp_path)
    consumer = world.consumer(batch=200)
    await start(running, consumer)

    async def fold(batch):
        at = NOW - 1000
        await world.record(*(happened(n, f"user-{batch}-{n}", f"i{n % 7}", at=at) for n in range(200)))
        while await world.log.committed("consumer") != await world.log.ends():
            await asyncio.sleep(0.001)

    for batch in range(5):
        await fold(batch)
    held = reach(consumer, world.stores)
    for batch in range(5, 40):
        await fold(batch)
    assert reach(consumer, world.stores) <= held + 50


def reach(root, stores) -> int:
    """Count the objects that hang on a consumer, its stores left out."""
    outside = {id(value) for value in (stores, *(getattr(stores, name) for name in stores.__slots__))}
    outside |= {id(value) for value in list(sys.modules.values())}
    seen, waiting = set(), [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or id(value) in outside or isinstance(value, type | types.FunctionType | types.ModuleType):
            continue
        seen.add(id(value))
        waiting += gc.get_referents(value)
    return len(seen)

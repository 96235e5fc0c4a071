"""Several partitions and a log of the items: rebalances, zombies and crashes leave what a calm fold makes."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.ingest.stores import NOW, World, happened

from kindred.core.errors import LeaseHeld, StoreUnavailable
from kindred.core.event import (
    EventContext,
    HistoryRemoved,
    Interaction,
    Merged,
    ProfileErased,
    ProfileUpdated,
    Served,
)
from kindred.core.profile import Profile
from kindred.features.country_trends import PARTITIONS, decode_country_trends, window_trends_key
from kindred.features.groups import erased_key, read_erasure_mark
from kindred.features.trending_list import decode_trending

USERS = [f"u{number}" for number in range(12)]
ITEMS = [f"i{number}" for number in range(6)]
SOURCES = ("u0", "u2")
"""Users who turn out to be others."""
KINDS = ["view", "click", "like", "purchase", "rating", "impression"]


def deed(dice: random.Random, number: str) -> Interaction:
    """Make up an event; ids come back, times jump within the bound of lateness."""
    kind = dice.choice(KINDS)
    metadata = {"rating": dice.choice([1.0, 3.5, 5.0])} if kind == "rating" else {}
    several = kind == "impression" and dice.random() < 0.5
    if several:
        metadata = {"items": dice.sample(ITEMS, 4)}
    at = NOW - dice.randrange(80_000_000)
    return Interaction(
        event_id=f"evt_{number}" if dice.random() < 0.9 else f"evt_again_{dice.randrange(9)}",
        timestamp=at,
        ingested_at=NOW,
        user_id=dice.choice(USERS),
        item_id="" if several else dice.choice(ITEMS),
        event_type=kind,
        context=EventContext(
            request_id=f"r{dice.randrange(5)}", placement="home", location=dice.choice(["DE", "US-CA", None])
        ),
        metadata=metadata,
    )


def other(dice: random.Random, number: str):
    """Make up something else that happens to a user."""
    user = dice.choice(USERS)
    stamp = {"event_id": f"other_{number}", "timestamp": NOW, "ingested_at": NOW}
    return dice.choice(
        [
            ProfileUpdated(**stamp, profile=Profile(user_id=user, country="FR")),
            ProfileErased(**stamp, user_id=dice.choice([each for each in USERS if each not in SOURCES])),
            HistoryRemoved(**stamp, user_id=user, item_id=dice.choice(ITEMS), reactions=dice.random() < 0.5),
            Served(
                **stamp,
                user_id=user,
                request_id=f"r{dice.randrange(5)}",
                placement=dice.choice(["home", "cart"]),
                bundle="b",
                items=dice.sample(ITEMS, 3),
                propensities=[],
                sources=[],
            ),
        ]
    )


def stream(seed: int, count: int, merges: bool = True) -> list:
    """Make up a stream of events; some users turn out to be others."""
    dice = random.Random(seed)
    events = [deed(dice, f"{seed}_{n}") if dice.random() < 0.85 else other(dice, f"{seed}_{n}") for n in range(count)]
    if merges:
        for source, target in zip(SOURCES, ("u1", "u3"), strict=True):
            place = dice.randrange(count)
            stamp = {"event_id": f"merge_{source}_{seed}", "timestamp": NOW, "ingested_at": NOW}
            events.insert(place, Merged(**stamp, user_id=source, into=target))
    return events


class Fleet:
    """Consumers in the background over one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: list[tuple[asyncio.Task, asyncio.Event]] = []

    def start(self) -> asyncio.Event:
        stop = asyncio.Event()
        self.running.append((asyncio.create_task(self.world.consumer(batch=7, idle_most=0.002).run(stop)), stop))
        return stop

    async def stop(self) -> None:
        for task, stop in self.running:
            stop.set()
            await asyncio.wait_for(task, 20)

    async def kill(self, number: int) -> None:
        """End a consumer wherever it is, as a crash does; its membership is expelled later, as by a time-out."""
        task, _ = self.running.pop(number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until both logs are folded to their ends."""
        world = self.world
        while await world.log.committed("consumer") != await world.log.ends():
            await asyncio.sleep(0.002)
        while await world.item_log.committed("items") != await world.item_log.ends():
            await asyncio.sleep(0.002)


@pytest.fixture
async def fleet(tmp_path):
    made = Fleet(World(tmp_path, partitions=4))
    yield made
    await made.stop()


async def the_same_as_a_calm_fold(world: World) -> None:
    """Compare with a fold of the same log from its start in stores of its own."""
    calm = await world.again()
    found, history, profiles = await world.everything()
    expected, expected_history, expected_profiles = await calm.everything()
    assert (history, profiles) == (expected_history, expected_profiles)
    for group, records in expected.items():
        assert found[group] == records, group


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_a_fold_in_any_batches_is_the_same(tmp_path_factory, seed, batch):
    """One event at a time, or all at once."""

    async def compare():
        world = World(tmp_path_factory.getbasetemp(), partitions=4)
        await world.record(*stream(seed, 60))
        await world.drain(batch=batch)
        await the_same_as_a_calm_fold(world)

    asyncio.run(compare())


async def test_items_count_what_users_of_all_partitions_did(tmp_path):
    """Every event once, whatever partition its user has; the same as an embedded fold of the same events."""
    events = [happened(n, f"user-{n % 20}", f"i{n % 3}", location="DE") for n in range(120)]
    fleet, single = World(tmp_path, partitions=4), World(tmp_path)
    for world in (fleet, single):
        await world.record(*events)
        await world.drain()
    for item in ("i0", "i1", "i2"):
        assert (await fleet.item(item)).count("view") == 40
        assert (await fleet.item(item)).cells == (await single.item(item)).cells
    assert len((await fleet.item("i0")).sources) == 4
    assert (await fleet.interactions.counts())[0] == 120


@pytest.mark.parametrize("seed", range(3))
async def test_members_come_and_go_under_load(fleet, seed):
    """Partitions move between three consumers while events come in, one of which is killed again and again."""
    dice = random.Random(seed)
    for _ in range(2):
        fleet.start()
    events = stream(seed, 300)
    for start in range(0, len(events), 15):
        await fleet.world.record(*events[start : start + 15])
        match dice.randrange(4):
            case 0:
                fleet.start()
            case 1 if len(fleet.running) > 1:
                await fleet.kill(dice.randrange(len(fleet.running)))
            case 2 if len(fleet.running) > 1:
                task, stop = fleet.running.pop(0)
                stop.set()
                await asyncio.wait_for(task, 20)
        await asyncio.sleep(dice.random() * 0.01)
    await fleet.settled()
    await the_same_as_a_calm_fold(fleet.world)


class Paused:
    """A store that holds up one call of a method until it is told to go on: its caller is a zombie meanwhile."""

    def __init__(self, store, method: str, call: int = 1) -> None:
        self._store, self._method, self._left = store, method, call
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name != self._method:
            return method

        async def wait(*args, **kwargs):
            self._left -= 1
            if self._left == 0:
                self.reached.set()
                await self.go.wait()
            return await method(*args, **kwargs)

        return wait


@pytest.mark.parametrize(
    ("store", "method"),
    [
        *(("state", "write"), ("state", "read"), ("item_log", "append"), ("log", "append"), ("log", "commit")),
        *(("interactions", "add"), ("interactions", "forget"), ("interactions", "remove")),
        *(("profiles", "upsert"), ("profiles", "delete")),
    ],
)
async def test_a_zombie_undoes_nothing(tmp_path, store, method):
    """A consumer stops at a step past its time-out; another folds everything and more; then the first goes on."""
    world = World(tmp_path, partitions=4)
    await world.record(*stream(5, 120))
    zombie = World(tmp_path, log=world.log, item_log=world.item_log, catalog=world.catalog, leases=world.leases)
    for name in ("state", "interactions", "profiles", "letters"):
        setattr(zombie, name, getattr(world, name))
    paused = Paused(getattr(world, store), method)
    setattr(zombie, store, paused)
    stop = asyncio.Event()
    task = asyncio.create_task(zombie.consumer(batch=10).run(stop))
    await asyncio.wait_for(paused.reached.wait(), 10)
    for group in list(world.log._groups.values()) + list(world.item_log._groups.values()):
        for member in list(group._members):
            group.expel(member)
    await world.record(*stream(6, 60, merges=False))
    await world.drain()
    before = await world.everything()
    paused.go.set()
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(task, 20)
    await world.drain()
    if store == "log" and method == "append":
        # What the zombie handed on once more is new in the log, and counts for nobody.
        await the_same_as_a_calm_fold(world)
    else:
        assert await world.everything() == before
        await the_same_as_a_calm_fold(world)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(
        [
            *(("state", "write"), ("state", "read"), ("log", "commit"), ("log", "append"), ("item_log", "append")),
            *(("item_log", "commit"), ("interactions", "add"), ("interactions", "forget"), ("catalog", "resolve")),
        ]
    ),
    st.integers(1, 12),
)
def test_a_crash_at_any_step_changes_nothing(tmp_path_factory, seed, step, batch):
    """A consumer dies at a store's call, before it or after it was carried out; others go on from what is stored."""
    store, method = step

    async def compare():
        world = World(tmp_path_factory.getbasetemp(), partitions=4)
        await world.record(*stream(seed, 40))
        dice = random.Random(seed)
        for _ in range(6):
            getattr(world, store).failures[method] = 1
            getattr(world, store).skipped[method] = dice.randrange(4)
            getattr(world, store).carried_out = dice.random() < 0.5
            try:
                await world.consumer(batch=batch).drain_to(*await world.log.ends(), timeout=60)
            except StoreUnavailable:
                continue
        getattr(world, store).failures.clear()
        await world.drain()
        await the_same_as_a_calm_fold(world)

    asyncio.run(compare())


class Taken:
    """A log that takes a partition away under each of some commits, and refuses that commit."""

    def __init__(self, log, times: int) -> None:
        self._log, self.left = log, times

    def __getattr__(self, name):
        return getattr(self._log, name)

    async def commit(self, group, position):
        if not self.left:
            return await self._log.commit(group, position)
        self.left -= 1
        members = self._log._groups[group]
        for member in list(members._members):
            members.expel(member)
        raise LeaseHeld(f"partition {position.partition} is not this consumer's")


async def test_a_partition_lost_while_its_end_is_waited_for_is_taken_up_again(tmp_path):
    """By another member, or by the same one when it has it back: waiting goes on."""
    world = World(tmp_path, partitions=4)
    await world.record(*stream(9, 60))
    real = world.log
    world.log = Taken(real, 3)
    await world.drain(batch=10)
    assert world.log.left == 0
    world.log = real
    await the_same_as_a_calm_fold(world)


async def test_from_four_partitions_to_eight(fleet):
    """The old epoch is folded to its end, then the new one; users that moved keep their records."""
    world = fleet.world
    fleet.start()
    fleet.start()
    await world.record(*stream(1, 150))
    await fleet.settled()
    await world.log._store.repartition(8)
    await world.record(*stream(2, 150, merges=False))
    await fleet.settled()
    assert {end.epoch for end in await world.log.ends() if end.offset >= 0} == {1}
    await the_same_as_a_calm_fold(world)


async def test_a_state_restored_to_an_earlier_time(tmp_path):
    """The logs' commits are ahead of the state: the fold begins where the state stands."""
    world = World(tmp_path, partitions=4)
    await world.record(*stream(1, 80))
    await world.drain()
    state = world.state._store
    records, watermarks = dict(state._records), dict(state._watermarks)
    await world.record(*stream(2, 80, merges=False))
    await world.drain()
    expected = await world.everything()
    state._records, state._watermarks = records, watermarks
    await world.record(happened(999, "u5", "i1"))
    await world.drain()
    assert await world.everything() != expected
    await the_same_as_a_calm_fold(world)


@pytest.mark.parametrize(("store", "method"), [("interactions", "add"), ("state", "write"), ("item_log", "append")])
async def test_a_state_restored_within_a_batch(tmp_path, store, method):
    """What it lost is folded again, however far the batch had come that was built on more."""
    world = World(tmp_path, partitions=4)
    await world.record(*stream(1, 80))
    await world.drain()
    state = world.state._store
    records, watermarks = dict(state._records), dict(state._watermarks)
    await world.record(*stream(2, 80))
    await world.drain()
    paused = Paused(getattr(world, store), method)
    setattr(world, store, paused)
    stop = asyncio.Event()
    task = asyncio.create_task(world.consumer().run(stop))
    await world.record(*stream(3, 80, merges=False))
    await asyncio.wait_for(paused.reached.wait(), 10)
    state._records, state._watermarks = records, watermarks
    paused.go.set()
    while await world.log.committed("consumer") != await world.log.ends():
        await asyncio.sleep(0.002)
    stop.set()
    await asyncio.wait_for(task, 20)
    setattr(world, store, paused._store)
    await world.drain()
    await the_same_as_a_calm_fold(world)


async def test_stores_down_and_up_again(fleet):
    """Everything waits, nothing is lost, nothing is buried."""
    world = fleet.world
    fleet.start()
    await world.record(*stream(1, 60))
    for store, methods in (("state", "read write"), ("item_log", "append read"), ("interactions", "add")):
        for method in methods.split():
            getattr(world, store).failures[method] = 25
    await world.record(*stream(2, 60, merges=False))
    await fleet.settled()
    assert world.state.failed + world.item_log.failed + world.interactions.failed == 125
    assert await world.letters.letters(None, 10) == []
    await the_same_as_a_calm_fold(world)


async def test_poison_on_either_side_is_buried_alone(tmp_path):
    """Garbage in the log of events and in that of the items; the letters say where they stood."""
    world = World(tmp_path, partitions=4)
    await world.record(*(happened(n, f"user-{n}", "x") for n in range(20)))
    (first,) = await world.log.append([("user-1", b"\x00garbage")])
    (second,) = await world.item_log.append([("0", b"\x00garbage")])
    await world.drain()
    letters = await world.letters.letters(None, 10)
    assert [letter.position for letter in letters] == [first, second._replace(partition=second.partition + 1_000_000)]
    assert (await world.item("x")).count("view") == 20


async def test_trends_are_written_by_the_partitions_of_the_items(tmp_path):
    """Each partition lists its own items, and together they list all."""
    world = World(tmp_path, partitions=4)
    await world.record(*(happened(n, f"user-{n % 30}", f"i{n % 6}", at=NOW - 1000, location="DE") for n in range(180)))
    await world.drain()
    found, local = [], []
    for partition in range(3):
        (stored, countries) = (
            await world.state.read([window_trends_key("1h", partition), country_key(partition)])
        ).records
        found += decode_trending(stored.value).columns()[0].tolist() if stored else []
        local += decode_country_trends(countries.value).countries["DE"].columns()[0].tolist() if countries else []
    assert sorted(found) == sorted(local) == [0, 1, 2, 3, 4, 5]
    assert (await world.state.read([PARTITIONS])).records[0].value == b"3"


def country_key(partition):
    from kindred.features.country_trends import country_trends_key

    return country_trends_key("1h", partition)


async def test_an_erased_user_leaves_a_mark(tmp_path):
    """Its position stands under a hash of the id; the history is empty, the profile gone."""
    world = World(tmp_path, partitions=4)
    stamp = {"event_id": "e", "timestamp": NOW, "ingested_at": NOW}
    *_, position = await world.record(
        happened(0, "ann", "x"),
        ProfileUpdated(**stamp, profile=Profile(user_id="ann", country="DE")),
        ProfileErased(**stamp, user_id="ann"),
    )
    await world.drain()
    (mark,) = (await world.state.read([erased_key("ann")])).records
    assert read_erasure_mark(mark.value) == (position, NOW)
    assert "ann" not in str(erased_key("ann"))
    assert await world.user("ann") is None
    assert await world.interactions.by_user("ann", 10) == []
    assert await world.profiles.get(["ann"]) == [None]

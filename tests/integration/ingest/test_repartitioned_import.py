"""An import that the end of an epoch cut through: each user is folded once, by the partitions of either epoch."""

import asyncio
import dataclasses

import pytest
from tests.engines.kafka import Kafka
from tests.integration.ingest.stores import World, happened
from tests.integration.ingest.test_fleet import Paused
from tests.integration.ingest.test_import_fold import records, rows_of, write_import

from kindred.adapters.kafka.event_log import open_event_log
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.event import encode_event
from kindred.features.groups import IMPORT, USER
from kindred.ingest.outgoing import copy_marker
from kindred.jobs.rebuild import Rebuild

CHANGES = [(4, 8), (8, 4), (4, 6), (6, 1)]
IMPORTS = [f"m{number}" for number in range(4)]


class Ending(MemoryEventLog):
    """A log that is repartitioned in the midst of an append, once it is told to how many partitions."""

    to = 0

    async def append(self, entries):
        if len(entries) < 2 or not self.to:
            return await super().append(entries)
        first, self.to, partitions = await super().append(entries[:1]), 0, self.to
        await self.repartition(partitions)
        return first + await super().append(entries[1:])


def world_on(folder, before, log=MemoryEventLog):
    """Return a world whose log has so many partitions, and items a log of their own."""
    return World(folder, log=log(before), item_log=MemoryEventLog(3))


async def imported(world):
    """Append the markers of all imports; return them with their positions."""
    markers = [await write_import(world, name, rows_of(number, 300)) for number, name in enumerate(IMPORTS)]
    return [(marker, (await world.record(marker))[0]) for marker in markers]


async def expected(folder, before):
    """Return what the imports make of a log that is never repartitioned."""
    calm = world_on(folder / "calm", before)
    await imported(calm)
    await calm.drain()
    return await records(calm)


async def rebuilt(world):
    """Return what a state built anew from the log says of users."""
    fresh = MemoryStateStore()
    await Rebuild(world.stores, fresh).fold_to({})
    return {key: record async for key, record in fresh.scan(USER)}


async def the_same(world, tmp_path, before):
    """Compare with a calm fold, and a rebuild with what it rebuilds, positions included."""
    assert await records(world) == await expected(tmp_path, before)
    assert await rebuilt(world) == {key: record async for key, record in world.state.scan(USER)}


@pytest.mark.parametrize(("before", "after"), CHANGES)
@pytest.mark.parametrize("copied", [0, 2, 4])
async def test_markers_that_were_not_folded_when_the_epoch_ended(tmp_path, before, after, copied):
    """Some were copied to the other partitions before a crash, some were not: the new epoch folds the users left."""
    world = world_on(tmp_path / "lake", before)
    for number, (marker, position) in enumerate(await imported(world)):
        if number < copied:
            await copy_marker(position, marker, world.log)
    await world.log.repartition(after)
    await world.drain()
    await the_same(world, tmp_path, before)


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_an_epoch_that_ends_between_the_copies_of_a_marker(tmp_path, before, after):
    world = world_on(tmp_path / "lake", before, Ending)
    await imported(world)
    world.log.to = after
    await world.drain()
    assert (await world.log.ends())[0].epoch == 1
    await the_same(world, tmp_path, before)


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_markers_that_some_partitions_had_folded(tmp_path, before, after):
    """One consumer of several was at work when the epoch ended, and the import is run again behind it."""
    world = world_on(tmp_path / "lake", before)
    made = await imported(world)
    await world.consumer().drain_to(made[0][1], timeout=60)
    assert [key async for key, _ in world.state.scan(IMPORT)]
    await world.log.repartition(after)
    await world.record(*(marker for marker, _ in made))
    await world.drain()
    await the_same(world, tmp_path, before)


@pytest.mark.parametrize(("before", "after"), CHANGES)
async def test_a_folded_import_is_rebuilt_after_the_epoch_ended(tmp_path, before, after):
    world = world_on(tmp_path / "lake", before)
    made = await imported(world)
    await world.drain()
    await world.log.repartition(after)
    await world.record(*(marker for marker, _ in made), *(happened(n, f"user{n}", "item1") for n in range(40)))
    await world.drain()
    assert await rebuilt(world) == {key: record async for key, record in world.state.scan(USER)}


async def test_a_copied_marker_is_not_copied_on_to_the_next_epoch(tmp_path):
    """Only the one that stands in its own key's partition goes on, once."""
    log = MemoryEventLog(4)
    marker = await write_import(World(tmp_path), "m", rows_of(1, 10))
    (position,) = await log.append([("m", encode_event(marker))])
    await copy_marker(position, marker, log)
    await log.repartition(5)
    for partition in range(4):
        await copy_marker(position._replace(partition=partition, offset=0), marker, log)
    assert sum(end.offset + 1 for end in await log.ends()) == 1
    assert (await log.ends())[log.partition_of("m")].offset == 0


@pytest.mark.parametrize(
    ("store", "method"),
    [
        *(("state", "read"), ("state", "write"), ("item_log", "append")),
        *(("log", "append"), ("log", "commit"), ("log", "partitions")),
    ],
)
@pytest.mark.parametrize("call", [1, 3])
async def test_a_zombie_in_the_midst_of_an_import_undoes_nothing(tmp_path, store, method, call):
    """It stops past its time-out; others fold all of its epoch and the next one; then it goes on where it stood."""
    world = world_on(tmp_path / "lake", 4)
    made = await imported(world)
    paused = Paused(getattr(world, store), method, call)
    zombie, stop = dataclasses.replace(world, **{store: paused}), asyncio.Event()
    consuming = asyncio.create_task(zombie.consumer().run(stop))
    await asyncio.wait_for(paused.reached.wait(), 20)
    for group in [*world.log._groups.values(), *world.item_log._groups.values()]:
        for member in list(group._members):
            group.expel(member)
    await world.log.repartition(6)
    await world.record(made[0][0])
    await world.drain()
    paused.go.set()
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(consuming, 20)
    await world.drain()
    await the_same(world, tmp_path, 4)


async def test_two_consumers_of_a_broker_fold_imports_that_two_ends_of_epochs_cut_through(kafka: Kafka, tmp_path):
    """The group shares the older epochs first; no partition of another epoch writes the same users meanwhile."""
    location = kafka.location(tmp_path, partitions=4, session_timeout_ms=10_000)
    log, other = await open_event_log(location, tmp_path), await open_event_log(location, tmp_path)
    world = World(tmp_path / "lake", log=log, item_log=MemoryEventLog(3))
    made = await imported(world)
    for marker, position in made[:2]:
        await copy_marker(position, marker, log)
    assert await log.repartition(6) == 1
    (again,) = await world.record(made[0][0])
    assert await other.repartition(3) == 2
    stop, beside = asyncio.Event(), dataclasses.replace(world, log=other)
    consuming = asyncio.create_task(beside.consumer().run(stop))
    await world.drain()
    stop.set()
    await consuming
    assert again.epoch == 1
    await the_same(world, tmp_path, 4)
    await asyncio.gather(log.close(), other.close())

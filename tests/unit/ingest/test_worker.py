"""A worker and its share of the partitions, with a stage that only keeps what it was given."""

import asyncio

import pytest

from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.leases import MemoryLeases
from kindred.core.errors import InvalidInput, LeaseHeld, StoreUnavailable
from kindred.core.position import START, Position
from kindred.ingest.membership import LeasedMembership, join
from kindred.ingest.worker import PaceConfig, Worker
from kindred.ports.telemetry import NoMeter

PACE = PaceConfig(batch=3, idle_poll=0.001, idle_most=0.004, standby_poll=0.002, retry_first=0.001, retry_most=0.002)


class Kept:
    """What the stages of all workers have written: it moves forward only, as a state store does."""

    def __init__(self) -> None:
        self.watermarks: dict[int, Position] = {}
        self.data: dict[Position, bytes] = {}


class KeepingStage:
    """Keeps records by position; `trouble` is raised by the fold as often as it is there."""

    name = "consumer"
    idle_commits = False

    def __init__(self, log, kept: Kept) -> None:
        self.log, self.kept = log, kept
        self.trouble: list[Exception] = []
        self.started: list[int] = []
        self.dropped: list[int] = []
        self.buried: list[Position] = []
        self.ticks = 0
        self.refused: set[int] = set()
        self.pause: asyncio.Event | None = None

    async def watermark(self, partition):
        return self.kept.watermarks.get(partition, START._replace(partition=partition))

    async def start(self, partition):
        self.started.append(partition)

    async def fold(self, records, standing):
        if self.trouble:
            raise self.trouble.pop()
        if any(record.data == b"poison" for record in records):
            raise ValueError("poison")
        if self.pause is not None:
            await self.pause.wait()
        self.kept.data |= {record.position: record.data for record in records}
        return await self._moved(records[-1].position)

    async def bury(self, record, error, standing):
        self.buried.append(record.position)
        return await self._moved(record.position)

    async def _moved(self, end):
        self.kept.watermarks[end.partition] = max(end, await self.watermark(end.partition))
        self._check(end.partition)
        await self.log.commit(self.name, end)
        return end

    async def tick(self, partition, position):
        self.ticks += 1
        if self.idle_commits:
            self._check(partition)

    def _check(self, partition):
        if partition in self.refused:
            raise LeaseHeld(f"partition {partition} is not this consumer's")

    def drop(self, partition):
        self.dropped.append(partition)


class Stalls(NoMeter):
    """Counts what was refused."""

    def __init__(self) -> None:
        self.count_of = dict[str, float]()

    def count(self, name, amount=1.0, **labels):
        self.count_of[name] = self.count_of.get(name, 0.0) + amount


class Crew:
    """Workers of one group in the background."""

    def __init__(self, log, leases=None) -> None:
        self.log, self.leases, self.kept = log, leases or MemoryLeases(), Kept()
        self.meter = Stalls()
        self.members = []
        self.running = []

    def worker(self) -> tuple[Worker, KeepingStage]:
        stage = KeepingStage(self.log, self.kept)
        number = len(self.members)

        async def enter():
            member = await join(self.log, self.leases, "consumer", f"w{number}")
            self.members.append(member)
            return member

        return Worker(stage, enter, PACE, self.meter), stage

    def start(self) -> tuple[Worker, KeepingStage, asyncio.Event]:
        worker, stage = self.worker()
        stop = asyncio.Event()
        self.running.append((asyncio.create_task(worker.run(stop)), stop))
        return worker, stage, stop

    async def append(self, count: int) -> dict[Position, bytes]:
        data = [f"{number}".encode() for number in range(count)]
        placed = await self.log.append([(f"key-{number}", each) for number, each in enumerate(data)])
        return dict(zip(placed, data, strict=True))

    async def close(self) -> None:
        for task, stop in self.running:
            stop.set()
            await asyncio.wait_for(task, 10)


async def until(true) -> None:
    """Wait until something holds; the test's time-out ends a wait that is in vain."""
    while not true():
        await asyncio.sleep(0.001)


@pytest.fixture
async def crew():
    made = Crew(MemoryEventLog(4))
    yield made
    await made.close()


async def test_one_worker_folds_all_partitions_and_two_share_them(crew):
    """Nothing is folded twice after a partition moved, and nothing is left."""
    first, stage, _ = crew.start()
    expected = await crew.append(40)
    await until(lambda: crew.kept.data == expected)
    assert set(first.status.positions) == {0, 1, 2, 3}
    second, other, stop = crew.start()
    await until(lambda: set(second.status.positions) == {1, 3} and set(first.status.positions) == {0, 2})
    assert stage.dropped == [1, 3]
    crew.kept.data.clear()
    expected = await crew.append(40)
    await until(lambda: crew.kept.data == expected)
    stop.set()
    await until(lambda: len(first.status.positions) == 4)
    assert second.status.role == "stopped"
    assert other.dropped == [1, 3]


async def test_a_zombie_drops_what_was_taken_from_it(crew):
    """It was paused in the middle of a batch; the other folded on, and the zombie's batch moves nothing back."""
    first, stage, _ = crew.start()
    await until(lambda: len(first.status.positions) == 4)
    stage.pause = asyncio.Event()
    expected = await crew.append(40)
    await asyncio.sleep(0.01)
    zombie = crew.members[0]
    second, _, _ = crew.start()
    await until(lambda: len(crew.members) == 2)
    zombie.group.expel(zombie)
    await until(lambda: crew.kept.data == expected)
    marks = dict(crew.kept.watermarks)
    stage.pause.set()
    await until(lambda: len(first.status.positions) == 2 and len(second.status.positions) == 2)
    assert crew.kept.watermarks == marks
    expected |= await crew.append(40)
    await until(lambda: crew.kept.data == expected)


async def test_a_failing_step_is_tried_again_from_where_the_state_stands(crew):
    """Its status says why; nothing is buried."""
    worker, stage, _ = crew.start()
    await until(lambda: worker.status.role == "owner")
    stage.trouble = [StoreUnavailable("the disk is gone")] * 30
    expected = await crew.append(12)
    await until(lambda: worker.status.role == "stalled")
    assert "the disk is gone" in worker.status.cause
    await until(lambda: crew.kept.data == expected)
    assert stage.buried == []
    await until(lambda: worker.status.role == "owner")
    assert worker.status.cause == ""


@pytest.mark.parametrize("idle", [False, True])
async def test_commits_that_are_refused_for_ever_are_seen(crew, idle):
    """The claim stays while the log takes none of its commits: the worker says so, and folds the other partitions."""
    worker, stage, _ = crew.start()
    stage.idle_commits = idle
    await until(lambda: len(worker.status.positions) == 4)
    stage.refused = {0}
    expected = await crew.append(0 if idle else 40)
    await until(lambda: worker.status.role == "stalled")
    assert worker.status.cause == "LeaseHeld: partition 0 is not this consumer's"
    await until(lambda: crew.meter.count_of.get("consumer_stalls", 0) > 3)
    assert stage.dropped.count(0) > 3
    ends = {end.partition: end for end in await crew.log.ends()}
    await until(lambda: all(crew.kept.watermarks.get(part, end) == end for part, end in ends.items() if part))
    stage.refused = set()
    await until(lambda: crew.kept.data == expected)
    await until(lambda: worker.status.role == "owner" and len(worker.status.positions) == 4)


async def test_a_commit_that_is_refused_once_is_counted_and_stalls_nothing(crew, monkeypatch):
    """The partition was another's for a moment: it comes back under another number."""
    worker, stage, _ = crew.start()
    said = []
    monkeypatch.setattr(worker, "_stalled", said.append)
    await until(lambda: len(worker.status.positions) == 4)
    stage.trouble = [LeaseHeld("partition 1 is not this consumer's")]
    expected = await crew.append(40)
    await until(lambda: crew.kept.data == expected)
    assert crew.meter.count_of == {"consumer_stalls": 1.0}
    assert not said


async def test_a_drain_says_that_commits_are_refused_for_ever(crew):
    worker, stage = crew.worker()
    await crew.append(40)
    stage.refused = {2}
    with pytest.raises(LeaseHeld, match="partition 2"):
        await worker.drain(await crew.log.ends())


@pytest.mark.parametrize("busy", [False, True])
async def test_a_state_that_goes_back_under_a_worker_is_folded_anew_from_there(crew, busy):
    """A copy or a late replica took the store's place without a failed call; at work or idle it is seen."""
    _, stage, _ = crew.start()
    first = await crew.append(40)
    await until(lambda: crew.kept.data == first)
    copy = dict(crew.kept.data), dict(crew.kept.watermarks)
    second = await crew.append(40)
    await until(lambda: crew.kept.data == first | second)
    crew.kept.data, crew.kept.watermarks = copy
    third = await crew.append(40) if busy else {}
    await until(lambda: crew.kept.data == first | second | third)
    assert sorted(stage.dropped) == [0, 1, 2, 3]


async def test_poison_is_buried_alone(crew):
    """Its neighbours are folded, in every partition."""
    _, stage, _ = crew.start()
    expected = await crew.append(20)
    (poison,) = await crew.log.append([("key-1", b"poison")])
    expected |= await crew.append(20)
    await until(lambda: crew.kept.data == expected)
    assert stage.buried == [poison]


async def test_new_partitions_are_folded_after_a_repartition(crew):
    """The epoch before was folded to its end; a worker that runs takes the new partitions over."""
    worker, _, _ = crew.start()
    expected = await crew.append(40)
    await until(lambda: crew.kept.data == expected)
    await until(lambda: len(worker.status.positions) == 4)
    assert await crew.log.committed("consumer") == await crew.log.ends()
    await crew.log.repartition(8)
    expected |= await crew.append(80)
    await until(lambda: crew.kept.data == expected)
    assert len(worker.status.positions) == 8
    assert {position.epoch for position in worker.status.positions.values()} == {1}


async def test_draining_folds_what_nobody_else_does(crew):
    """All partitions are drained at once; a position beyond the end is an error, not a hang."""
    worker, _ = crew.worker()
    expected = await crew.append(40)
    ends = await crew.log.ends()
    await worker.drain(ends)
    assert crew.kept.data == expected
    assert worker.status == ("stopped", {}, "")
    with pytest.raises(InvalidInput, match="not a position of this log"):
        await worker.drain([ends[2]._replace(offset=1_000)])
    await worker.drain([Position(0, 3, -1)])


async def test_a_drain_waits_for_another_owner(crew):
    """What another member folds is awaited."""
    _, stage, _ = crew.start()
    stage.pause = asyncio.Event()
    await crew.append(40)
    drainer, _ = crew.worker()
    draining = asyncio.create_task(drainer.drain(await crew.log.ends()))
    await asyncio.sleep(0.02)
    assert not draining.done()
    stage.pause.set()
    await asyncio.wait_for(draining, 10)


async def test_time_passes_while_nothing_comes(crew):
    """The stage is told of every owned partition at each look."""
    _, stage, _ = crew.start()
    await until(lambda: stage.ticks >= 12)


async def test_a_lease_gives_the_partition_of_a_log_without_groups():
    """One owns, the other stands by; the number grows when the lease changes hands."""
    leases = MemoryLeases()
    first, second = (LeasedMembership(leases, "consumer", name) for name in ("a", "b"))
    assert await first.claims() == {0: 1}
    assert await first.claims() == {0: 1}
    assert await second.claims() == {}
    assert await first.holds(0, 1)
    assert not await first.holds(1, 1)
    await first.leave()
    await first.leave()
    assert await second.claims() == {0: 2}
    assert not await first.holds(0, 1)


async def test_a_lost_lease_makes_a_standby():
    """Whoever takes the lease begins from the state; the one who lost it folds no more."""
    crew = Crew(MemoryEventLog())
    first, stage, _ = crew.start()
    await until(lambda: first.status.role == "owner")
    await crew.leases.release("consumer", 1)
    assert await crew.leases.acquire("consumer", "another") == 2
    await until(lambda: first.status.role == "standby")
    assert stage.dropped == [0]
    await crew.append(5)
    await asyncio.sleep(0.01)
    assert crew.kept.data == {}
    await crew.leases.release("consumer", 2)
    await until(lambda: len(crew.kept.data) == 5)
    await crew.close()

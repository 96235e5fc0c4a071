"""The log on a real broker: killed and paused, its members come, go and stand still, its topics change."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from tests.engines.kafka import Kafka

from kindred.adapters.kafka import sender
from kindred.adapters.kafka.event_log import KafkaEventLog, open_event_log
from kindred.adapters.kafka.topics import RECORD_BYTES, Epoch
from kindred.core.errors import Conflict, InvalidInput, Overloaded, StoreUnavailable
from kindred.core.position import Position
from kindred.ingest.worker import PaceConfig, Worker
from kindred.ports.log import LogRecord, all_ends

MEMBER = Path(__file__).with_name("kafka_member.py")
SESSION = {"session_timeout_ms": 2_000}


@asynccontextmanager
async def opened(broker: Kafka, home: Path, **options: object) -> AsyncIterator[KafkaEventLog]:
    log = await open_event_log(broker.location(home, **options), home)
    try:
        yield log
    finally:
        await log.close()


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


class Users:
    """Producers: each user's events are numbered, and the next is appended once the one before was acknowledged."""

    def __init__(self, log: KafkaEventLog, count: int) -> None:
        self.log, self.names = log, [f"user-{number}" for number in range(count)]
        self.acknowledged: dict[tuple[str, int], Position] = {}
        self.refusals: list[Overloaded] = []
        self.retried: set[tuple[str, int]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.gather(*(self._run(name, stop) for name in self.names))

    async def _run(self, name: str, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            event = (name, number)
            try:
                (self.acknowledged[event],) = await self.log.append([(name, f"{name} {number}".encode())])
                number += 1
            except Overloaded as error:
                self.refusals.append(error)
                if "may be written" in str(error):
                    self.retried.add(event)
            await asyncio.sleep(0.01)


def event_of(record: LogRecord) -> tuple[str, int]:
    name, _, number = record.data.decode().partition(" ")
    return name, int(number)


async def everything(log: KafkaEventLog, partitions: int) -> list[LogRecord]:
    found: list[LogRecord] = []
    for partition in range(partitions):
        after = Position(0, partition, -1)
        while part := await log.read(after, 1_000):
            found += part
            after = part[-1].position
    return found


class Folded:
    """A state as stores keep it: a user's record moves forward alone; what breaks the numbering is `wrong`."""

    def __init__(self) -> None:
        self.users: dict[str, tuple[int, Position]] = {}
        self.marks: dict[int, Position] = {}
        self.wrong: list[str] = []
        self.doubled: set[tuple[str, int]] = set()

    def apply(self, record: LogRecord, by: str) -> None:
        name, number = event_of(record)
        last, place = self.users.get(name, (-1, Position(-1, -1, -1)))
        if record.position <= place:
            return
        if number == last:
            self.doubled.add((name, number))
        elif number != last + 1:
            self.wrong.append(f"{by}: {name} {number} at {record.position} follows {last} at {place}")
        self.users[name] = (number, record.position)


class Stage:
    """Folds into the shared state, and commits after each batch, as the consumer does."""

    name = "consumer"

    def __init__(self, log: KafkaEventLog, folded: Folded, label: str) -> None:
        self.log, self.folded, self.label, self.count = log, folded, label, 0

    async def watermark(self, partition: int) -> Position:
        return self.folded.marks.get(partition, Position(0, partition, -1))

    async def start(self, partition: int) -> None:
        pass

    async def fold(self, records: Sequence[LogRecord], standing: Position) -> Position:
        await asyncio.sleep(0)
        for record in records:
            self.folded.apply(record, self.label)
        self.count += len(records)
        end = records[-1].position
        self.folded.marks[end.partition] = max(end, self.folded.marks.get(end.partition, end))
        await self.log.commit(self.name, end)
        return end

    async def bury(self, record: LogRecord, error: Exception, standing: Position) -> Position:
        raise AssertionError(f"{record.position} cannot be folded") from error

    async def tick(self, partition: int, position: Position) -> None:
        pass

    def drop(self, partition: int) -> None:
        pass


class Meter:
    def count(self, name: str, value: float = 1, **labels: str) -> None:
        pass

    def observe(self, name: str, value: float, **labels: str) -> None:
        pass

    def gauge(self, name: str, value: float, **labels: str) -> None:
        pass


@asynccontextmanager
async def consuming(log: KafkaEventLog, folded: Folded, label: str) -> AsyncIterator[tuple[Worker, Stage]]:
    stage, stop = Stage(log, folded, label), asyncio.Event()
    worker = Worker(stage, lambda: log.join("consumer"), PaceConfig(standby_poll=0.05), Meter())
    task = asyncio.create_task(worker.run(stop))
    try:
        yield worker, stage
    finally:
        stop.set()
        await task


def all_folded(users: Users, folded: Folded) -> Callable[[], bool]:
    def check() -> bool:
        last: dict[str, int] = {}
        for name, number in users.acknowledged:
            last[name] = max(last.get(name, -1), number)
        return all(folded.users.get(name, (-1, None))[0] >= number for name, number in last.items())

    return check


async def killed_under_load(broker: Kafka, home: Path, kills: int) -> None:
    async with opened(broker, home, timeout_ms=4_000) as log:
        users, stop = Users(log, 20), asyncio.Event()
        load = asyncio.create_task(users.run(stop))
        for _ in range(kills):
            before = len(users.acknowledged)
            await until(lambda count=before: len(users.acknowledged) > count + 500)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(1)
            before = len(users.acknowledged)
            await asyncio.to_thread(broker.start)
            await until(lambda count=before: len(users.acknowledged) > count + 500)
        stop.set()
        await load
        records = await everything(log, 4)
    written = {record.position: event_of(record) for record in records}
    assert {place: event for event, place in users.acknowledged.items()}.items() <= written.items()
    events = sorted(written.values())
    doubled = {event for event, following in itertools.pairwise(events) if event == following}
    assert doubled <= users.retried
    assert set(events) - users.retried <= users.acknowledged.keys()


async def test_a_broker_killed_under_load_loses_nothing_acknowledged(kafka_apart: Kafka, tmp_path: Path) -> None:
    """What was acknowledged stands where that said; twice stands only what a caller sent again after a timeout."""
    await killed_under_load(kafka_apart, tmp_path, 1)


@pytest.mark.long
async def test_a_broker_killed_again_and_again_loses_nothing_acknowledged(kafka_apart: Kafka, tmp_path: Path) -> None:
    await killed_under_load(kafka_apart, tmp_path, 5)


async def test_a_full_queue_refuses_and_what_it_took_is_written(
    kafka_apart: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that stands still: the queue fills, then callers hear of it at once; nothing refused is written."""
    monkeypatch.setattr(sender, "WAITING_RECORDS", 3)
    monkeypatch.setattr(sender, "STALLED_SECONDS", 1.0)
    async with opened(kafka_apart, tmp_path, partitions=1) as log:
        kafka_apart.pause()
        taken = [asyncio.create_task(log.append([("key", b"%d" % number)])) for number in range(3)]
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded, match="3 events wait") as refused:
            await log.append([("key", b"refused")])
        assert refused.value.retry_after == 1
        monkeypatch.setattr(sender, "WAITING_RECORDS", 100)
        await asyncio.sleep(1)
        with pytest.raises(StoreUnavailable, match="no append was acknowledged"):
            await log.append([("key", b"stalled")])
        kafka_apart.resume()
        assert [place.offset for (place,) in await asyncio.gather(*taken)] == [0, 1, 2]
        (last,) = await log.append([("key", b"later")])
        assert last.offset == 3


async def test_members_that_come_and_go_fold_everything_once_in_order(kafka: Kafka, tmp_path: Path) -> None:
    async with opened(kafka, tmp_path, **SESSION) as log, opened(kafka, tmp_path, **SESSION) as other:
        users, folded, stop = Users(log, 20), Folded(), asyncio.Event()
        load = asyncio.create_task(users.run(stop))
        async with consuming(other, folded, "second") as (_, second):
            async with consuming(log, folded, "first") as (_, first):
                await until(lambda: first.count > 100 and second.count > 100)
            before = second.count
            await until(lambda: second.count > before + 500)
            stop.set()
            await load
            await until(all_folded(users, folded))
        assert folded.wrong == []
        assert not users.refusals


@pytest.fixture
def member(kafka: Kafka, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A member of the group `consumer` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(MEMBER), kafka.location(tmp_path, **SESSION)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    yield process
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    process.kill()
    process.communicate()


def turns(process: "subprocess.Popen[str]", enough: Callable[[Mapping[str, Any]], bool]) -> list[dict[str, Any]]:
    """Read what a member prints until a turn is `enough`."""
    assert process.stdout is not None
    seen: list[dict[str, Any]] = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if enough(seen[-1]):
            return seen
    pytest.fail("the member ended")


async def test_a_member_that_stood_still_learns_that_it_is_a_zombie(
    kafka: Kafka, tmp_path: Path, member: "subprocess.Popen[str]"
) -> None:
    """Paused past its session: another owns its partitions; back again it holds nothing from the first answer on."""
    async with opened(kafka, tmp_path, **SESSION) as log:
        seen = await asyncio.to_thread(turns, member, lambda turn: len(turn["claims"]) == 4)
        old = {int(partition): fence for partition, fence in seen[-1]["claims"].items()}
        member.send_signal(signal.SIGSTOP)
        successor = await log.join("consumer")
        end = time.monotonic() + 40
        while len(claims := dict(await successor.claims())) < 4:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert all(claims[partition] > fence for partition, fence in old.items())
        woken = time.monotonic()
        member.send_signal(signal.SIGCONT)
        # It joins again and is given new partitions, under new numbers.
        seen = await asyncio.to_thread(turns, member, lambda turn: turn["asked"] > woken and len(turn["claims"]) > 0)
        after = [turn for turn in seen if turn["asked"] > woken]
        assert after[0]["claims"] == {}
        assert after[0]["refused"] == "lease_held"
        assert {fence for turn in after for fence in turn["claims"].values()}.isdisjoint(old.values())
        back = {int(partition): fence for partition, fence in after[-1]["claims"].items()}
        assert all(fence > claims[partition] for partition, fence in back.items())
        await successor.leave()


async def repartitioned_under_load(broker: Kafka, home: Path, numbers: Sequence[int], events: int) -> None:
    async with opened(broker, home, **SESSION) as log, opened(broker, home, **SESSION) as other:
        users, folded, stop = Users(log, 40), Folded(), asyncio.Event()
        load = asyncio.create_task(users.run(stop))
        async with consuming(log, folded, "first") as (_, first), consuming(other, folded, "second") as (_, second):
            await until(lambda: first.count > events and second.count > events)
            for epoch, partitions in enumerate(numbers, 1):
                assert await other.repartition(partitions) == epoch
                before = len(users.acknowledged)
                await until(lambda count=before: len(users.acknowledged) > count + events)
                assert len(await log.ends()) == partitions
            stop.set()
            await load
            await until(all_folded(users, folded))
        assert folded.wrong == []
        records = await everything(log, max(4, *numbers))
        assert folded.doubled <= users.retried
        assert len(records) == len(users.acknowledged) + len(folded.doubled)
        written = {record.position: event_of(record) for record in records}
        assert {place: event for event, place in users.acknowledged.items()}.items() <= written.items()
        assert {record.position.epoch for record in records} == set(range(len(numbers) + 1))
        assert {record.position.partition for record in records if record.position.epoch == len(numbers)} == set(
            range(numbers[-1])
        )


async def test_a_log_repartitioned_under_load_loses_and_doubles_nothing(kafka: Kafka, tmp_path: Path) -> None:
    """From 4 to 8 partitions, with producers and two consumers at work: each user's events are folded in order."""
    await repartitioned_under_load(kafka, tmp_path, [8], 300)


async def test_an_epoch_that_another_process_began_is_known_to_who_asks(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for all that a log holds waits for what stands there too, however long ago it looked by itself."""
    monkeypatch.setattr("kindred.adapters.kafka.event_log._REFRESH_SECONDS", 3_600)
    async with opened(kafka, tmp_path, partitions=4) as log, opened(kafka, tmp_path, partitions=4) as other:
        assert await log.partitions() == {0: 4}
        assert await other.repartition(3) == 1
        (place,) = await other.append([("key", b"data")])
        assert place.epoch == 1
        assert place in await all_ends(log)
        assert await log.partitions() == {0: 4, 1: 3}


@pytest.mark.long
async def test_a_log_may_be_repartitioned_again_before_the_group_has_caught_up(kafka: Kafka, tmp_path: Path) -> None:
    await repartitioned_under_load(kafka, tmp_path, [8, 3, 5], 3_000)


async def test_members_fold_an_older_epoch_to_its_end_first(kafka: Kafka, tmp_path: Path) -> None:
    """They share the old partitions, and read nothing newer, until the group has committed all of the old epoch."""
    async with opened(kafka, tmp_path, **SESSION) as log:
        old = await log.append([(f"user-{number}", b"old") for number in range(20)])
        await log.repartition(6)
        new = await log.append([(f"user-{number}", b"new") for number in range(40)])
        assert {place.epoch for place in new} == {1}
        member = await log.join("consumer")
        end = time.monotonic() + 40
        while len(claims := dict(await member.claims())) < 4:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        for partition in range(4):
            found = await log.read(Position(0, partition, -1), 100)
            assert {record.data for record in found} == {b"old"}
            assert await log.read(found[-1].position, 100) == []
            assert set(await member.claims()) == set(range(4))
            await log.commit("consumer", max(place for place in old if place.partition == partition))
        while len(later := dict(await member.claims())) < 6:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert min(later.values()) > max(claims.values())
        assert (await log.committed("consumer")) == [Position(1, partition, -1) for partition in range(6)]
        found = [record for partition in range(6) for record in await log.read(Position(0, partition, 99), 100)]
        assert sorted(record.position for record in found) == sorted(new)
        await member.leave()


class Turning:
    """Epochs that another thread replaces whenever one looks: each look finds the other of two."""

    def __init__(self, *looks: Epoch) -> None:
        self._looks = itertools.cycle(looks)
        self.all = looks

    @property
    def present(self) -> Epoch:
        return next(self._looks)


async def test_an_append_goes_by_one_epoch_though_another_begins(kafka: Kafka, tmp_path: Path) -> None:
    """The positions that it returns are those where its records stand."""
    async with opened(kafka, tmp_path) as log, opened(kafka, tmp_path) as other:
        old = other.epochs.present
        await other.repartition(7)
        # As if the seal of the older topic came later than the look at it.
        entry = ConfigEntry("max.message.bytes", str(RECORD_BYTES), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, old.topic, incremental_configs=[entry])
        other._topics._admin.incremental_alter_configs([resource])[resource].result(10)
        new = other.epochs.present
        log._epochs = Turning(old, new)  # type: ignore[assignment]
        log._look_for_epochs = lambda: None  # type: ignore[method-assign]
        placed: list[Position] = []
        for number in range(8):
            placed += await log.append([(f"user-{number}", b"%d" % number)])
        found = {record.position: record.data for record in await everything(other, 7)}
        assert found == {place: b"%d" % number for number, place in enumerate(placed)}


async def test_a_repartition_that_was_cut_short_is_run_again(kafka: Kafka, tmp_path: Path) -> None:
    async with opened(kafka, tmp_path) as log:
        for wrong in (0, 10_001):
            with pytest.raises(InvalidInput, match="partitions"):
                await log.repartition(wrong)
        log._topics.seal(log.epochs.present)
        with pytest.raises(Overloaded, match=r"being repartitioned.*run it again"):
            await log.append([("key", b"refused")])
        async with opened(kafka, tmp_path) as other:
            answers = await asyncio.gather(log.repartition(5), other.repartition(7), return_exceptions=True)
            assert [type(each) for each in answers if each != 1] == [Conflict], answers
            (place,) = await log.append([("key", b"taken")])
            assert place.epoch == 1
            assert await log.ends() == await other.ends()
            assert len(await log.ends()) in (5, 7)
        assert [record.data for record in await everything(log, 7)] == [b"taken"]


async def test_a_topic_that_the_cluster_refuses_leaves_the_log_as_it_was(kafka: Kafka, tmp_path: Path) -> None:
    (first,) = await _append_once(kafka, tmp_path)
    async with opened(kafka, tmp_path, replication=3) as log:
        with pytest.raises(StoreUnavailable, match=r"fewer brokers than \?replication"):
            await log.repartition(8)
        (second,) = await log.append([("key", b"second")])
        assert second.offset == first.offset + 1


async def _append_once(broker: Kafka, home: Path) -> list[Position]:
    async with opened(broker, home) as log:
        return await log.append([("key", b"first")])


@pytest.mark.long
async def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"kafka://127\.0\.0\.1:1/log: .*see that (they|the brokers) run"):
        await open_event_log("//127.0.0.1:1/log", tmp_path)

"""The event logs keep their port's contract."""

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from tests.engines.kafka import Kafka

from kindred.adapters.kafka.event_log import KafkaEventLog
from kindred.adapters.kafka.event_log import open_event_log as open_kafka_log
from kindred.adapters.memory import event_log as memory
from kindred.adapters.sqlite import event_log as sqlite
from kindred.adapters.sqlite.event_log_writer import GroupWriter
from kindred.core.errors import ConfigError, InvalidInput, Overloaded, StoreFull, StoreUnavailable, TooLarge
from kindred.core.position import Position
from kindred.ports.log import EventLog, GroupedLog
from kindred.testing.event_log_suite import EventLogSuite
from kindred.testing.membership_suite import MembershipSuite


class TestMemoryEventLog(EventLogSuite):
    async def open_store(self, home: Path) -> EventLog:
        return await memory.open_event_log("", home)

    async def begin_epoch(self, log: EventLog) -> None:
        assert isinstance(log, memory.MemoryEventLog)
        await log.begin_epoch()


class TestPartitionedMemoryEventLog(TestMemoryEventLog):
    async def open_store(self, home: Path) -> EventLog:
        return await memory.open_event_log("4", home)

    async def begin_epoch(self, log: EventLog) -> None:
        assert isinstance(log, memory.MemoryEventLog)
        await log.repartition(8)


class TestSqliteEventLog(EventLogSuite):
    async def open_store(self, home: Path) -> EventLog:
        return await sqlite.open_event_log("log", home)

    async def begin_epoch(self, log: EventLog) -> None:
        assert isinstance(log, sqlite.SqliteEventLog)
        await log.begin_epoch()


class TestMemoryMembership(MembershipSuite):
    async def open_store(self, home: Path) -> GroupedLog:
        return await memory.open_event_log("4", home)


class OnKafka:
    """What the suites on the broker share: each test has a log of its own, of four partitions."""

    @pytest.fixture(autouse=True)
    def _broker(self, kafka: Kafka) -> None:
        self.broker = kafka

    async def open_store(self, home: Path) -> KafkaEventLog:
        return await open_kafka_log(self.broker.location(home, partitions=4, session_timeout_ms=6_000), home)


class TestKafkaEventLog(OnKafka, EventLogSuite):
    async def begin_epoch(self, log: EventLog) -> None:
        assert isinstance(log, KafkaEventLog)
        await log.repartition(6)

    async def refused(self, log: EventLog) -> bytes:
        """The topic takes small records alone; there is a moment until its leaders know."""
        assert isinstance(log, KafkaEventLog)
        topic, data = log.epochs.present.topic, os.urandom(20_000)
        entry = ConfigEntry("max.message.bytes", "2000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.broker.servers})
        await asyncio.to_thread(admin.incremental_alter_configs([resource])[resource].result, 10)
        for _ in range(500):
            try:
                await log.append([("key", data)])
            except Overloaded:
                return data
            await asyncio.sleep(0.02)
        pytest.fail("the broker takes records that its topic's settings refuse")


class TestKafkaMembership(OnKafka, MembershipSuite):
    pass


class Gate:
    """A write that waits to be let through, and can be told to fail."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.groups: list[list[bytes]] = []
        self.error: Exception | None = None

    def write(self, records: list[bytes]) -> tuple[int, int]:
        self.open.wait(10)
        if self.error:
            raise self.error
        self.groups.append(records)
        return 0, sum(map(len, self.groups[:-1]))


async def gathered(
    gate: Gate, writer: GroupWriter, appends: list[list[bytes]]
) -> list[tuple[int, int] | BaseException]:
    """Let the first append reach the gate, queue the rest behind it, then open."""
    waiting = []
    for records in appends:
        waiting.append(asyncio.ensure_future(writer.append(records)))
        await asyncio.sleep(0.02)
    gate.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.to_thread(writer.close)
    return answers


async def test_what_waits_is_written_as_one_group_within_its_limit() -> None:
    gate = Gate()
    writer = GroupWriter(gate.write, lambda: None, group_records=3)
    answers = await gathered(gate, writer, [[b"a"], [b"b"], [b"c", b"d"], [b"e"], [b"f"] * 9])
    assert answers == [(0, first) for first in (0, 1, 2, 4, 5)]
    assert [len(group) for group in gate.groups] == [1, 3, 1, 9]


async def test_a_full_queue_refuses_with_the_seconds_to_wait() -> None:
    gate = Gate()
    writer = GroupWriter(gate.write, lambda: None, waiting_records=2, waiting_bytes=10)
    answers = await gathered(gate, writer, [[b"a"], [b"b"], [b"c"], [b"d"], [b"e" * 11], [b"f"] * 3])
    assert answers[:3] == [(0, 0), (0, 1), (0, 2)]
    assert isinstance(answers[3], Overloaded)
    assert answers[3].retry_after == 1
    assert [type(answer) for answer in answers[4:]] == [TooLarge, TooLarge]
    with pytest.raises(StoreUnavailable, match="closed"):
        await writer.append([b"late"])


@pytest.mark.parametrize("error", [StoreFull("no room left", 5), ZeroDivisionError("no room left")])
async def test_a_failed_group_is_told_to_each_caller_apart(error: Exception) -> None:
    gate = Gate()
    gate.error = error
    writer = GroupWriter(gate.write, lambda: None)
    answers = await gathered(gate, writer, [[b"a"], [b"b"], [b"c"]])
    expected = StoreFull if isinstance(error, StoreFull) else StoreUnavailable
    assert [type(answer) for answer in answers] == [expected] * 3
    assert {answer.retry_after for answer in answers} == {getattr(error, "retry_after", 1)}
    assert len({id(answer) for answer in answers}) == 3
    assert all("no room left" in str(answer) for answer in answers)


async def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "events.sqlite").write_bytes(b"something else " * 1_000)
    with pytest.raises(StoreUnavailable, match=r"events\.sqlite.*not a database"):
        await sqlite.open_event_log("log", tmp_path)


async def test_the_wal_is_folded_back_while_appends_go_on(tmp_path: Path) -> None:
    log = await sqlite.open_event_log("log", tmp_path)
    for _ in range(30):
        await log.append([("key", b"x" * 1_000)] * 1_000)
    assert (tmp_path / "log" / "events.sqlite-wal").stat().st_size < 12 << 20
    assert (tmp_path / "log" / "events.sqlite").stat().st_size > 15 << 20
    assert (await log.ends())[0].offset == 29_999
    await log.close()


class Disk:
    """`os.fdatasync` that fails, as a disk does, while it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken, self._sync = False, os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def sync(self, handle: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "the disk failed")
        self._sync(handle)


async def test_what_follows_a_sync_that_failed_does_not_rest_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, wal = Disk(monkeypatch), tmp_path / "log" / "events.sqlite-wal"
    log = await sqlite.open_event_log("log", tmp_path)
    await log.append([("key", b"first")])
    start, disk.broken = wal.stat().st_size, True
    with pytest.raises(StoreUnavailable, match="the disk failed"):
        await log.append([("key", b"lost" * 5_000)])
    end, disk.broken = wal.stat().st_size, False
    await log.append([("key", b"next")])
    # What the failed sync should have covered never reached the disk.
    (tmp_path / "cut" / "log").mkdir(parents=True)
    copy = Path(shutil.copy(wal, tmp_path / "cut" / "log"))
    shutil.copy(wal.with_name("events.sqlite"), copy.parent)
    with copy.open("r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))
    await log.close()
    again = await sqlite.open_event_log("log", tmp_path / "cut")
    found = [record.data for record in await again.read(Position(0, 0, -1), 10)]
    await again.close()
    assert [data for data in found if not data.startswith(b"lost")] == [b"first", b"next"]


async def test_a_record_that_its_writer_has_not_synced_is_synced_before_it_is_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = await sqlite.open_event_log("log", tmp_path)
    reader = await sqlite.open_event_log("log", tmp_path)
    disk.broken = True
    with pytest.raises(StoreUnavailable):
        await writer.append([("key", b"x")])
    for look in (reader.ends(), reader.read(Position(0, 0, -1), 10)):
        with pytest.raises(StoreUnavailable, match="the disk failed"):
            await look
    disk.broken = False
    assert [record.data for record in await reader.read(Position(0, 0, -1), 10)] == [b"x"]
    # A sync behind one that failed proves nothing: the record was believed when it stood in the file.
    (tmp_path / "cut" / "log").mkdir(parents=True)
    shutil.copy(tmp_path / "log" / "events.sqlite", tmp_path / "cut" / "log")
    await writer.close()
    await reader.close()
    cut = await sqlite.open_event_log("log", tmp_path / "cut")
    assert [record.data for record in await cut.read(Position(0, 0, -1), 10)] == [b"x"]
    await cut.close()


async def test_a_log_restored_to_an_earlier_state_numbers_what_follows_anew(tmp_path: Path) -> None:
    """A position that the lost end of the old epoch had is followed by all of the new one."""
    log = await sqlite.open_event_log("log", tmp_path)
    await log.append([("key", b"%d" % number) for number in range(10)])
    assert await log.begin_epoch() == 1
    new = await log.append([("key", b"new")] * 3)
    assert new == [Position(1, 0, offset) for offset in (10, 11, 12)]
    lost = Position(0, 0, 25)
    assert [record.position for record in await log.read(lost, 10)] == new
    await log.commit("fold", lost)
    assert await log.committed("fold") == [Position(0, 0, 9)]
    assert await log.read(Position(2, 0, 0), 10) == []
    with pytest.raises(InvalidInput, match="epochs up to 1"):
        await log.commit("fold", Position(2, 0, 0))
    await log.close()
    log = await sqlite.open_event_log("log", tmp_path)
    assert await log.ends() == [new[-1]]
    await log.close()


async def test_trimmed_records_make_room(tmp_path: Path) -> None:
    """Whole group commits go, the last one stays, and the room is used again."""
    log = await sqlite.open_event_log("log", tmp_path)
    placed = [(await log.append([("key", b"x" * 1_000)] * 1_000))[0] for _ in range(10)]
    assert await log.trim(placed[5]._replace(offset=placed[5].offset + 500)) == 5_000
    assert (await log.read(Position(0, 0, -1), 1))[0].position == placed[5]
    before = (tmp_path / "log" / "events.sqlite").stat().st_size
    for _ in range(5):
        await log.append([("key", b"x" * 1_000)] * 1_000)
    await log.close()
    assert (tmp_path / "log" / "events.sqlite").stat().st_size < before + (3 << 20)


@pytest.mark.parametrize("after", [8, 3])
async def test_a_group_shares_an_older_epoch_of_a_memory_log_to_its_end(after: int) -> None:
    log = memory.MemoryEventLog(4)
    positions = await log.append([(f"key {n}", b"x") for n in range(20)])
    first = await log.join("consumer")
    assert await log.repartition(after) == 1
    (newer,) = await log.append([("key 1", b"y")])
    second = await log.join("consumer")
    lasts = {position.partition: position for position in positions}
    for last in lasts.values():
        assert sorted([*await first.claims(), *await second.claims()]) == [0, 1, 2, 3]
        assert await log.read(Position(1, newer.partition, -1), 10) == []
        await log.commit("consumer", last)
    assert sorted([*await first.claims(), *await second.claims()]) == list(range(after))
    assert [each.position for each in await log.read(Position(1, newer.partition, -1), 10)] == [newer]


@pytest.mark.parametrize("location", ["0", "-1", "many", "1001"])
async def test_a_number_of_partitions_that_cannot_be_is_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="partitions"):
        await memory.open_event_log(location, tmp_path)

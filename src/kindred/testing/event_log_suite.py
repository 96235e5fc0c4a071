"""What every event log must do: subclass `EventLogSuite`, say how yours is opened, and run it by pytest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.core.errors import InvalidInput, Overloaded, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import EventLog, LogRecord, PartlyAppended


class EventLogSuite:
    """The suite of the EventLog port; it needs pytest and pytest-asyncio in its automatic mode.

    A log of several partitions passes too: the suite appends under one key and follows that key's partition.
    """

    async def open_store(self, home: Path) -> EventLog:
        """Open the log kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its log is opened")

    async def begin_epoch(self, log: EventLog) -> None:
        """Begin a new epoch of a log whose group `consumer` has committed all of the present one."""
        pytest.skip(f"{type(self).__name__} does not say in begin_epoch how an epoch begins")

    async def refused(self, log: EventLog) -> bytes:
        """Make the log refuse some records, not for good, and return the data of one that it refuses."""
        pytest.skip(f"{type(self).__name__} does not say in refused how one record fails and another does not")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[EventLog]:
        """Open the log for a block and close it behind it."""
        log = await self.open_store(home)
        try:
            yield log
        finally:
            await log.close()

    async def fill(self, log: EventLog, count: int) -> list[LogRecord]:
        """Append `count` records of one key and return them with their positions."""
        data = [b"record %d" % number for number in range(count)]
        positions = await log.append([("key", each) for each in data])
        return [LogRecord(position, each) for position, each in zip(positions, data, strict=True)]

    async def read_all(self, log: EventLog, after: Position, limit: int = 100) -> list[LogRecord]:
        """Read until nothing is left behind `after`."""
        found: list[LogRecord] = []
        while part := await log.read(found[-1].position if found else after, limit):
            assert len(part) <= limit
            found += part
        return found

    async def test_an_empty_log_has_ends_and_no_records(self, tmp_path: Path) -> None:
        """Every partition ends at offset -1 and nothing can be read."""
        async with self.opened(tmp_path) as log:
            ends = await log.ends()
            assert ends
            assert {end.offset for end in ends} == {-1}
            assert [await log.read(end, 10) for end in ends] == [[] for _ in ends]
            await log.check()

    async def test_records_come_back_in_order_with_their_positions(self, tmp_path: Path) -> None:
        """What was appended is read once, in order, bytes unchanged, in whatever portions."""
        async with self.opened(tmp_path) as log:
            written = await self.fill(log, 25)
            positions = [record.position for record in written]
            assert positions == sorted(set(positions))
            before = positions[0]._replace(offset=-1)
            for limit in (1, 7, 100):
                assert await self.read_all(log, before, limit) == written
            assert positions[-1] in await log.ends()

    async def test_reading_starts_behind_the_position(self, tmp_path: Path) -> None:
        """A position is where a reader is, not what it reads next; also within what was appended together."""
        async with self.opened(tmp_path) as log:
            written = await self.fill(log, 5) + await self.fill(log, 5)
            for index, record in enumerate(written):
                assert await self.read_all(log, record.position) == written[index + 1 :]
            assert await log.read(written[0].position, 0) == []

    async def test_appending_nothing_does_nothing(self, tmp_path: Path) -> None:
        """An empty append returns no positions and leaves the ends."""
        async with self.opened(tmp_path) as log:
            ends = await log.ends()
            assert await log.append([]) == []
            assert await log.ends() == ends

    async def test_any_bytes_are_kept(self, tmp_path: Path) -> None:
        """Empty, binary and large records come back as they were."""
        data = [b"", bytes(range(256)), b"\x00" * 70_000, "ü\U0001f600".encode()]
        async with self.opened(tmp_path) as log:
            first, *_ = await log.append([("key", each) for each in data])
            found = await self.read_all(log, first._replace(offset=first.offset - 1))
            assert [record.data for record in found] == data

    async def test_concurrent_appends_are_each_whole_and_once(self, tmp_path: Path) -> None:
        """Appends at the same time never interleave within one append, nor share a position."""
        async with self.opened(tmp_path) as log:
            batches = [[("key", b"%d.%d" % (number, part)) for part in range(3)] for number in range(50)]
            placed = await asyncio.gather(*(log.append(batch) for batch in batches))
            expected = {
                position: data
                for batch, positions in zip(batches, placed, strict=True)
                for (_, data), position in zip(batch, positions, strict=True)
            }
            assert len(expected) == 150
            found = await self.read_all(log, min(expected)._replace(offset=-1))
            assert {record.position: record.data for record in found} == expected
            order = [record.data.partition(b".") for record in found]
            assert all(order[i][0] == order[i + 1][0] == order[i + 2][0] for i in range(0, 150, 3))

    async def test_commits_only_move_forward(self, tmp_path: Path) -> None:
        """Each group has its own commit, and an older one changes nothing."""
        async with self.opened(tmp_path) as log:
            written = await self.fill(log, 5)
            assert {position.offset for position in await log.committed("fold")} == {-1}
            await log.commit("fold", written[3].position)
            await log.commit("fold", written[1].position)
            assert written[3].position in await log.committed("fold")
            assert {position.offset for position in await log.committed("other")} == {-1}

    async def test_records_go_to_the_partition_of_their_key(self, tmp_path: Path) -> None:
        """`partition_of` says where; the order of one append of many keys is kept within each partition."""
        keys = [f"user-{number % 13}" for number in range(60)]
        async with self.opened(tmp_path) as log:
            partitions = len(await log.ends())
            positions = await log.append([(key, f"{key} {n}".encode()) for n, key in enumerate(keys)])
            assert [position.partition for position in positions] == [log.partition_of(key) for key in keys]
            assert {position.partition for position in positions} <= set(range(partitions))
            assert len(set(positions)) == len(keys)
            for end in await log.ends():
                expected = [
                    f"{key} {n}".encode() for n, key in enumerate(keys) if log.partition_of(key) == end.partition
                ]
                found = await self.read_all(log, end._replace(epoch=0, offset=-1))
                assert [record.data for record in found] == expected

    async def test_an_append_that_fails_in_part_tells_which_records_stand(self, tmp_path: Path) -> None:
        """A partition that refuses its records takes nothing from those of another; none at all is a plain failure."""
        async with self.opened(tmp_path) as log:
            data = await self.refused(log)
            other = next(key for key in map(str, range(1_000)) if log.partition_of(key) != log.partition_of("key"))
            with pytest.raises(Overloaded) as whole:
                await log.append([("key", data)])
            assert not isinstance(whole.value, PartlyAppended)
            ends = await log.ends()
            with pytest.raises(PartlyAppended) as caught:
                await log.append([(other, b"first"), ("key", data), (other, b"second")])
            first, failed, second = caught.value.outcomes
            assert isinstance(failed, Overloaded)
            assert caught.value.retry_after == failed.retry_after
            assert failed.detail in caught.value.detail
            found = await log.read(ends[log.partition_of(other)], 10)
            assert found == [(first, b"first"), (second, b"second")]
            assert await log.read(ends[log.partition_of("key")], 10) == []

    async def test_trimming_deletes_from_the_front_alone(self, tmp_path: Path) -> None:
        """What stands at or behind the position stays, offsets do not change, and numbering goes on."""
        async with self.opened(tmp_path) as log:
            written = [record for _ in range(5) for record in await self.fill(log, 4)]
            start = written[0].position._replace(offset=-1)
            await log.trim(written[9].position)
            kept = await self.read_all(log, start)
            assert kept == written[len(written) - len(kept) :]
            assert len(kept) >= 11
            assert await self.read_all(log, written[9].position) == written[10:]
            (later,) = await self.fill(log, 1)
            await log.trim(later.position._replace(offset=later.position.offset + 1))
            (last,) = await self.fill(log, 1)
            assert last.position.offset == len(written) + 1
            assert (await self.read_all(log, start))[-1] == last

    async def test_an_epoch_follows_the_one_before(self, tmp_path: Path) -> None:
        """Positions of the newer epoch are higher; a reader goes through the rest of the old one first."""
        async with self.opened(tmp_path) as log:
            old = await self.fill(log, 6)
            for end in await log.ends():
                await log.commit("consumer", end)
            await self.begin_epoch(log)
            new = await self.fill(log, 5)
            assert {record.position.epoch for record in new} == {old[0].position.epoch + 1}
            assert new[-1].position in await log.ends()
            assert {end.epoch for end in await log.ends() if end.offset >= 0} == {new[0].position.epoch}
            found = await self.read_all(log, new[0].position._replace(epoch=old[0].position.epoch, offset=-1), 4)
            behind = old if new[0].position.partition == old[0].position.partition else []
            assert found == [*behind, *new]
            assert await self.read_all(log, new[1].position) == new[2:]
            await self.knows_its_epochs(log, old[-1].position, new[-1].position)
            await log.commit("fold", new[2].position)
            await log.commit("fold", new[0].position)
            assert new[2].position in await log.committed("fold")

    async def knows_its_epochs(self, log: EventLog, old: Position, new: Position) -> None:
        """Each epoch keeps its number of partitions, its ends, and where a key's records went in it."""
        partitions = await log.partitions()
        assert list(partitions) == [old.epoch, new.epoch]
        for last in (old, new):
            ends = await log.ends(last.epoch)
            assert last in ends
            assert [end.partition for end in ends] == list(range(partitions[last.epoch]))
            assert {end.epoch for end in ends} == {last.epoch}
            assert log.partition_of("key", last.epoch) == last.partition
        assert log.partition_of("key") == new.partition
        assert await log.ends(new.epoch) == await log.ends()
        with pytest.raises(StoreUnavailable, match="epoch"):
            await log.ends(new.epoch + 1)

    async def test_a_position_of_another_log_is_refused(self, tmp_path: Path) -> None:
        """Committing to a partition that is not there fails and says so; reading it finds nothing."""
        async with self.opened(tmp_path) as log:
            foreign = Position(0, 1_000_000, 3)
            with pytest.raises(InvalidInput, match="partition"):
                await log.commit("fold", foreign)
            assert await log.read(foreign, 10) == []

    async def test_a_durable_log_is_found_again(self, tmp_path: Path) -> None:
        """Records and commits are there after closing and opening; new records follow the old."""
        async with self.opened(tmp_path) as log:
            if not log.capabilities.durable:
                return
            written = await self.fill(log, 10)
            await log.commit("fold", written[6].position)
            await log.close()
        async with self.opened(tmp_path) as log:
            before = written[0].position._replace(offset=-1)
            assert await self.read_all(log, before) == written
            assert written[6].position in await log.committed("fold")
            more = await self.fill(log, 2)
            assert more[0].position > written[-1].position

    async def test_a_shared_log_is_one_log(self, tmp_path: Path) -> None:
        """Two openings of a shared log append to and read the same records."""
        async with self.opened(tmp_path) as log:
            if not log.capabilities.shared:
                return
            async with self.opened(tmp_path) as other:
                written = await self.fill(log, 2) + await self.fill(other, 2) + await self.fill(log, 1)
                before = written[0].position._replace(offset=-1)
                assert await self.read_all(log, before) == written
                assert await self.read_all(other, before) == written

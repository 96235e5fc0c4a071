"""The event log on Kafka: one topic per epoch, partitioned by a hash of the key."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from xxhash import xxh3_64_intdigest

from kindred.adapters.kafka.address import MOST_PARTITIONS, Address, parse_address
from kindred.adapters.kafka.errors import translated
from kindred.adapters.kafka.group_offsets import GroupOffsets, checked_epoch
from kindred.adapters.kafka.membership import KafkaMembership
from kindred.adapters.kafka.reading import Readers
from kindred.adapters.kafka.sender import Outgoing, Sender, Sent
from kindred.adapters.kafka.topics import Epoch, Epochs, Topics
from kindred.core.errors import Conflict, InvalidInput, KindredError, Overloaded, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import LogRecord, Membership, Outcome, positions_of
from kindred.ports.resource import Capabilities

T = TypeVar("T")

_REFRESH_SECONDS = 2.0
_THREADS = 16


class KafkaEventLog:
    """A log whose records are acknowledged by all replicas that are in sync; offsets are Kafka's own.

    What an acknowledgement is worth is the cluster's: with one broker a record is in that machine's page cache, which
    outlives the broker but not the machine; with `?replication=3` two machines have it. Records of one append keep
    their order within a partition. An append that fails may have been written in part or whole, as a timeout cannot
    tell: its event ids make the retry harmless.
    """

    def __init__(self, address: Address, topics: Topics, epochs: Epochs) -> None:
        """Use what `open_event_log` found."""
        self._address, self._topics, self._epochs = address, topics, epochs
        self._offsets = GroupOffsets(address, topics)
        self._sender = Sender(address)
        self._readers = Readers(address, topics)
        self._members: list[KafkaMembership] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="kafka")
        self._closing = threading.Event()
        self._refreshing = threading.Lock()
        self._watch = threading.Thread(target=self._follow_epochs, name="kafka-epochs", daemon=True)
        self._watch.start()

    @property
    def capabilities(self) -> Capabilities:
        """Return durable, shared, partitioned, and that it shares its partitions among groups by itself."""
        return Capabilities(durable=True, shared=True, groups=True, partitioned=True)

    @property
    def epochs(self) -> Epochs:
        """Return the epochs as they were seen last, at most seconds ago."""
        return self._epochs

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append to the present epoch; raise Overloaded while the log is being repartitioned.

        Raises StoreUnavailable where no acknowledgement came in time: those records may have been written. Raises
        PartlyAppended where others were acknowledged.
        """
        return positions_of(await self._appended(records))

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`; nothing, within milliseconds, where there are none."""
        if limit < 1 or after.partition < 0:
            return []
        return await self._blocking(lambda: self._read(after, limit))

    async def ends(self, epoch: int | None = None) -> list[Position]:
        """Return the last acknowledged position of each partition of an epoch, else of the present one."""
        asked = self._epoch(epoch)
        ends = await self._blocking(lambda: self._topics.ends(asked))
        return [Position(asked.number, partition, end - 1) for partition, end in enumerate(ends)]

    async def partitions(self) -> Mapping[int, int]:
        """Return how many partitions each epoch has whose topic is there, asked anew.

        What another process began a second ago is among them: who waits for all that a log holds waits for that too.
        """
        await self._refreshed()
        return {epoch.number: epoch.partitions for epoch in self._epochs.all}

    async def commit(self, group: str, position: Position) -> None:
        """Commit to the group's offsets in Kafka.

        Where this log joined the group, as its member: raises LeaseHeld when the partition is another's by now. A
        group with members elsewhere is committed by those alone.
        """
        epochs = self._epochs
        epoch = checked_epoch(epochs, position)
        if position.offset < 0:
            return
        members = [each for each in self._members if each.group == group and not each.left]
        if members:
            member = next((each for each in members if each.has(position.partition)), members[0])
            await self._blocking(lambda: member.commit(epoch, position))
        else:
            await self._blocking(lambda: self._offsets.commit(group, epochs, position))

    async def committed(self, group: str) -> list[Position]:
        """Return where each partition is read on from, in the oldest epoch that the group has not finished.

        Partitions that only an older epoch has are there too, while something in them is unread.
        """
        return await self._blocking(lambda: self._offsets.committed(group, self._epochs))

    def partition_of(self, key: str, epoch: int | None = None) -> int:
        """Return XXH3-64 of the key modulo the partitions of an epoch, else of the present one."""
        return self._partition(key, self._epoch(epoch).partitions)

    async def trim(self, before: Position) -> int:
        """Delete records before a position, and all of older epochs of that partition; Kafka frees whole segments."""
        checked_epoch(self._epochs, before)
        return await self._blocking(lambda: self._trim(before))

    async def join(self, group: str) -> Membership:
        """Become a member of `group`; partitions arrive in `claims()` within seconds."""
        member = await self._blocking(
            lambda: KafkaMembership(self._address, self._offsets, group, lambda: self._epochs)
        )
        # Those that left are forgotten here, so that a group may be joined anew.
        self._members = [*(each for each in self._members if not each.left), member]
        return member

    async def check(self) -> None:
        """Ask the cluster for its brokers; raise StoreUnavailable when nobody answers."""
        await self._blocking(self._topics.check)

    async def close(self) -> None:
        """Send what waits, leave every group, close all connections; a second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        for member in self._members:
            await member.leave()
        await asyncio.to_thread(self._end)

    async def repartition(self, partitions: int) -> int:
        """Begin an epoch of `partitions` partitions; return its number.

        The present topic is sealed first, so that nothing can be written behind its end; until the new one is there,
        a moment later, appends raise Overloaded. Consumers fold the old epoch to its end, then the new one. Cut short,
        it is run again. Raises StoreUnavailable, nothing sealed, where the cluster would refuse the new topic, and
        Conflict where another call made it with another number of partitions.
        """
        if not 1 <= partitions <= MOST_PARTITIONS:
            raise InvalidInput.at("/partitions", f"is 1 to {MOST_PARTITIONS:,}, not {partitions}")
        await self._refreshed()
        old = self._epochs.present
        await self._blocking(lambda: self._begin_epoch(old, partitions))
        await self._refreshed()
        made = self._epochs.find(old.number + 1)
        if made is None or made.partitions != partitions:
            raise Conflict(f"{self._address} was repartitioned by another call at the same time: {made}")
        return made.number

    @staticmethod
    def _partition(key: str, partitions: int) -> int:
        return xxh3_64_intdigest(key.encode()) % partitions

    def _epoch(self, number: int | None) -> Epoch:
        """Return an epoch, the present one for None; another thread may replace that at any time."""
        epochs = self._epochs
        found = epochs.present if number is None else epochs.find(number)
        if found is None:
            raise StoreUnavailable(f"{self._address} has no topic of epoch {number}: it tells which user was where")
        return found

    async def _appended(self, records: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        """Append to the present epoch and return what became of each record."""
        epoch = self._epochs.present
        sent = await self._send(records, epoch)
        outcomes: list[Outcome] = [
            Position(epoch.number, self._partition(key, epoch.partitions), each.offset)
            if each.error is None
            else translated(self._address, each.error)
            for (key, _), each in zip(records, sent, strict=True)
        ]
        sealed = [index for index, each in enumerate(sent) if each.refused_by_seal]
        if sealed:
            again = await self._append_behind([records[index] for index in sealed], epoch)
            for index, outcome in zip(sealed, again, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _append_behind(self, records: Sequence[tuple[str, bytes]], sealed: Epoch) -> list[Outcome]:
        """Append to the next epoch what a sealed topic refused: it was certainly not written."""
        try:
            await self._refreshed()
            if self._epochs.present == sealed:
                detail = f"{self._address} is being repartitioned and takes no events for a moment"
                raise Overloaded(f"{detail}; if that was cut short, run it again", retry_after=2)
            return await self._appended(records)
        except KindredError as error:
            return [error] * len(records)

    async def _send(self, records: Sequence[tuple[str, bytes]], epoch: Epoch) -> list[Sent]:
        """Send to an epoch's topic, sealed or not."""
        return await self._sender.send(
            [Outgoing(epoch.topic, self._partition(key, epoch.partitions), key.encode(), data) for key, data in records]
        )

    def _read(self, after: Position, limit: int) -> list[LogRecord]:
        # Those who fold an older epoch read nothing newer before the whole group is done with it.
        last = min((each.epoch for each in self._members if not each.left), default=self._epochs.present.number)
        for number, topic, partitions in self._epochs.all:
            if not after.epoch <= number <= last or after.partition >= partitions:
                continue
            start = max(after.offset + 1, 0) if number == after.epoch else 0
            rows = self._readers.read(topic, after.partition, start, limit)
            if rows:
                return [LogRecord(Position(number, after.partition, row.offset), row.value or b"") for row in rows]
        return []

    def _begin_epoch(self, old: Epoch, partitions: int) -> None:
        self._topics.try_create(old.number + 1, partitions)
        self._topics.seal(old)
        self._topics.create(old.number + 1, partitions)

    def _trim(self, before: Position) -> int:
        gone = 0
        for number, topic, partitions in self._epochs.all:
            if number <= before.epoch and before.partition < partitions:
                offset = before.offset if number == before.epoch else self._topics.end(topic, before.partition)
                gone += self._topics.delete_before(topic, before.partition, offset)
        return gone

    def _follow_epochs(self) -> None:
        while not self._closing.wait(_REFRESH_SECONDS):
            try:
                self._look_for_epochs()
            except KindredError:
                continue  # the brokers are away; whoever needs them says so

    def _look_for_epochs(self) -> None:
        with self._refreshing:
            self._epochs = self._topics.newer(self._epochs)

    async def _refreshed(self) -> None:
        await self._blocking(self._look_for_epochs)

    async def _blocking(self, call: Callable[[], T]) -> T:
        if self._closing.is_set():
            raise StoreUnavailable("the event log is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _end(self) -> None:
        self._sender.close()
        self._pool.shutdown()
        self._readers.close()
        self._watch.join()


async def open_event_log(location: str, home: Path) -> KafkaEventLog:
    """Open the log that `//host:port/name?partitions=4` names, making its first topic where there is none.

    Raises ConfigError for another form, StoreUnavailable where no broker answers.
    """
    address = parse_address(location)
    topics = Topics(address)

    def found() -> Epochs:
        return topics.discover() or Epochs((topics.create(0, address.options.partitions),))

    return KafkaEventLog(address, topics, await asyncio.to_thread(found))

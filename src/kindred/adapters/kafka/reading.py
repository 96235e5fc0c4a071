"""Reads of one partition from any offset on, by consumers that stay where they were."""

import threading
import time
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from kindred.adapters.kafka.address import Address
from kindred.adapters.kafka.errors import translated
from kindred.adapters.kafka.topics import Topics
from kindred.core.errors import StoreUnavailable

_IDLE_SECONDS = 0.005
_PATIENCE_SECONDS = 5.0
_READERS = 64
_READERS_OF_A_PARTITION = 2
_BUFFER_KB = 8 << 10


class Row(NamedTuple):
    """One record of a partition; `value` None deletes the key in a compacted topic."""

    offset: int
    key: bytes
    value: bytes | None


class Reader:
    """A consumer assigned to one partition; it belongs to no group's members, and only seeks where it must."""

    def __init__(self, address: Address, topics: Topics, topic: str, partition: int) -> None:
        """Make the consumer; it fetches from the first read on."""
        self.topic, self.partition = topic, partition
        self.next: int | None = None
        self.used = time.monotonic()
        self._topics = topics
        self._address = address
        self._end: int | None = None
        self._consumer = Consumer(
            address.client(**{
                "group.id": f"{address.name}.readers",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                # A seek waits for the fetch that is under way, and that for data, at most this long.
                "fetch.wait.max.ms": 100,
                "fetch.error.backoff.ms": 50,
                "queued.max.messages.kbytes": _BUFFER_KB,
                "fetch.max.bytes": _BUFFER_KB << 10,
            })
        )  # fmt: skip

    def read(self, start: int, limit: int) -> list[Row]:
        """Return up to `limit` records from offset `start` on, none once the partition has none there.

        Raises StoreUnavailable where brokers do not say within seconds whether there are any.
        """
        if self.next != start:
            self._seek(start)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (rows := self._consumed(limit)):
            if self._end is not None:
                if self._topics.end(self.topic, self.partition) <= max(self._end, start):
                    return []
                if self.next is None:
                    self._seek(start)
                self._end = None
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{self._address}: {self.topic} partition {self.partition} cannot be read now")
        self.next = rows[-1].offset + 1
        return rows

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def _seek(self, start: int) -> None:
        """Go to `start`; assigning anew drops what was fetched for another place."""
        self._consumer.assign([TopicPartition(self.topic, self.partition, start)])
        self.next, self._end = start, None

    def _consumed(self, limit: int) -> list[Row]:
        """Return what is there, or else what comes within a few milliseconds."""
        messages = self._consumer.consume(limit, 0)
        if not messages:
            messages = self._consumer.consume(1, _IDLE_SECONDS)
            if messages and limit > 1:
                messages += self._consumer.consume(limit - 1, 0)
        rows: list[Row] = []
        for message in messages:
            error = message.error()
            if error is None:
                rows.append(Row(message.offset() or 0, message.key() or b"", message.value()))
                self._end = None
            else:
                self._take_notice(error, message)
        return rows

    def _take_notice(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self._end = message.offset()
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            # Either those records were deleted, then the rest comes next, or they were never there.
            start = self.next or 0
            first = self._topics.start(self.topic, self.partition)
            if start < first:
                self._consumer.assign([TopicPartition(self.topic, self.partition, OFFSET_BEGINNING)])
            else:
                self.next, self._end = None, start
        elif not error.retriable():
            raise translated(self._address, error)


class Readers:
    """The readers of one log: one is kept for each place that someone reads on from."""

    def __init__(self, address: Address, topics: Topics) -> None:
        """Keep what new readers need."""
        self._address, self._topics = address, topics
        self._idle: list[Reader] = []
        self._lock = threading.Lock()
        self._closed = False

    def read(self, topic: str, partition: int, start: int, limit: int) -> list[Row]:
        """Return up to `limit` records of a partition from `start` on; raise StoreUnavailable."""
        reader = self._take(topic, partition, start)
        try:
            rows = reader.read(start, limit)
        except KafkaException as error:
            self._drop(reader)
            raise translated(self._address, error) from error
        except BaseException:
            self._drop(reader)
            raise
        self._put_back(reader)
        return rows

    def close(self) -> None:
        """Close every reader."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _take(self, topic: str, partition: int, start: int) -> Reader:
        """Take the reader that stands at `start`, else one that may move there, else a new one."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the event log is closed")
            same = [each for each in self._idle if (each.topic, each.partition) == (topic, partition)]
            there = [each for each in same if each.next == start]
            if there or len(same) >= _READERS_OF_A_PARTITION:
                reader = there[0] if there else min(same, key=lambda each: each.used)
                self._idle.remove(reader)
                return reader
        return Reader(self._address, self._topics, topic, partition)

    def _put_back(self, reader: Reader) -> None:
        reader.used = time.monotonic()
        with self._lock:
            self._idle.append(reader)
            surplus = [self._idle.pop(0)] if len(self._idle) > _READERS or self._closed else []
        for each in surplus:
            each.close()

    def _drop(self, reader: Reader) -> None:
        reader.close()

"""Appends to Kafka: an idempotent producer with all acknowledgements, whose reports wake the callers that wait."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kindred.adapters.kafka.address import Address
from kindred.adapters.kafka.errors import RETRY_AFTER
from kindred.adapters.kafka.topics import RECORD_BYTES
from kindred.core.errors import Overloaded, StoreUnavailable, TooLarge

WAITING_RECORDS = 50_000
WAITING_BYTES = 64 << 20
STALLED_SECONDS = 3.0
_POLL_SECONDS = 0.1


class Outgoing(NamedTuple):
    """One record for one partition of a topic; `value` None deletes its key from a compacted topic."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None


class Sent(NamedTuple):
    """What became of a record: its offset, or the error (offset -1) that kept it from being acknowledged."""

    offset: int
    error: KafkaError | None

    @property
    def refused_by_seal(self) -> bool:
        """Say whether it was certainly not written, because its topic takes no records any more."""
        return self.error is not None and self.error.code() == KafkaError.MSG_SIZE_TOO_LARGE


def _sent(error: KafkaError | None, offset: int | None) -> Sent:
    """Return what a report says; a success without an offset is none.

    librdkafka takes a broker's complaint about a repeated sequence number for a success, and says so without an offset.
    Once another topic refused a record, as a sealed one does, and the producer began a new epoch, such a record was
    seen to be nowhere.
    """
    if error is None and (offset is None or offset < 0):
        error = KafkaError(KafkaError.DUPLICATE_SEQUENCE_NUMBER)
    return Sent(-1, error) if error is not None or offset is None else Sent(offset, None)


class _Waiting:
    """The records of one call, which is woken in its own loop when the last of them was reported."""

    __slots__ = ("done", "left", "loop", "results", "since", "size")

    def __init__(self, records: Sequence[Outgoing], size: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.results: list[Sent | None] = [None] * len(records)
        self.left = Counter((record.topic, record.partition) for record in records)
        self.size = size
        self.since = time.monotonic()

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Sender:
    """One producer and the thread that serves its reports.

    At most WAITING_RECORDS records and WAITING_BYTES bytes wait for brokers. Once one waits longer than STALLED_SECONDS
    nothing more is taken in for its partition, so callers hear at once that its leader does not answer.
    """

    def __init__(self, address: Address, record_bytes: int = RECORD_BYTES) -> None:
        """Start the producer and its thread; `record_bytes` is the most that a record has with its key."""
        self._address, self._record_bytes = address, record_bytes
        self._lock = threading.RLock()
        self._waiting: dict[int, _Waiting] = {}
        self._count = self._size = 0
        self._closed = self._broken = False
        self._producer = self._new_producer()
        self._thread = threading.Thread(target=self._serve, name="kafka-sender", daemon=True)
        self._thread.start()

    async def send(self, records: Sequence[Outgoing]) -> list[Sent]:
        """Send records in this order and return what became of each, once all were reported.

        Raises Overloaded, StoreUnavailable or TooLarge when nothing was sent. A caller who gives up meanwhile leaves
        its records on their way.
        """
        if not records:
            return []
        size = self._measured(records)
        entry = _Waiting(records, size)
        with self._lock:
            self._admit(entry)
            self._waiting[id(entry)] = entry
            self._count += len(records)
            self._size += size
            # Within the lock: the producer stays the same one, and records of two calls do not mix.
            for index, record in enumerate(records):
                self._produce(entry, index, record)
        await entry.done
        return [sent for sent in entry.results if sent is not None]

    def close(self) -> None:
        """Send what waits, then end the thread; a second call does nothing."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
        self._producer.flush(self._address.options.timeout_ms / 1_000)
        self._thread.join()

    def _new_producer(self) -> Producer:
        return Producer(
            self._address.client(**{
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 1,
                "compression.type": "lz4",
                "message.timeout.ms": self._address.options.timeout_ms,
                "message.max.bytes": self._record_bytes + 1_024,
                "batch.size": 1 << 20,
                "retry.backoff.ms": 50,
                "retry.backoff.max.ms": 500,
                # Never reached: the count above is kept lower, and refuses a whole call at once.
                "queue.buffering.max.messages": 4 * WAITING_RECORDS,
                "queue.buffering.max.kbytes": 4 * WAITING_BYTES >> 10,
            })
        )  # fmt: skip

    def _measured(self, records: Sequence[Outgoing]) -> int:
        size = 0
        for record in records:
            own = len(record.key) + len(record.value or b"")
            if own > self._record_bytes:
                raise TooLarge(f"a record has at most {self._record_bytes} bytes with its key; this one has {own}")
            size += own
        if size > WAITING_BYTES or len(records) > WAITING_RECORDS:
            raise TooLarge(f"an append has at most {WAITING_RECORDS} records and {WAITING_BYTES} bytes; send fewer")
        return size

    def _admit(self, entry: _Waiting) -> None:
        if self._closed:
            raise StoreUnavailable("the event log is closed")
        if self._count + len(entry.results) > WAITING_RECORDS or self._size + entry.size > WAITING_BYTES:
            raise Overloaded(f"{self._count} events wait to be written; try again in a second", retry_after=1)
        for older in self._waiting.values():
            waited = entry.since - older.since
            if waited <= STALLED_SECONDS:
                return
            if not entry.left.keys().isdisjoint(older.left):
                detail = f"{self._address}: no append was acknowledged for {waited:.0f} s; see that the brokers run"
                raise StoreUnavailable(detail, RETRY_AFTER)

    def _produce(self, entry: _Waiting, index: int, record: Outgoing) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            self._report(entry, index, record, _sent(error, message.offset()))

        try:
            self._producer.produce(record.topic, record.value, record.key, record.partition, report)
        except KafkaException as error:
            self._report(entry, index, record, Sent(-1, error.args[0]))
        except BufferError:
            self._report(entry, index, record, Sent(-1, KafkaError(KafkaError._QUEUE_FULL)))

    def _report(self, entry: _Waiting, index: int, record: Outgoing, sent: Sent) -> None:
        if sent.error is not None and sent.error.fatal():
            self._broken = True
        with self._lock:
            entry.results[index] = sent
            place = record.topic, record.partition
            entry.left[place] -= 1
            if not entry.left[place]:
                del entry.left[place]
            if entry.left:
                return
            del self._waiting[id(entry)]
            self._count -= len(entry.results)
            self._size -= entry.size
        # A loop that has ended has nobody left who waits.
        with suppress(RuntimeError):
            entry.loop.call_soon_threadsafe(entry.finish)

    def _serve(self) -> None:
        """Serve delivery reports until closed and nothing waits."""
        while not self._closed or self._waiting:
            self._producer.poll(_POLL_SECONDS)
            if self._broken:
                self._replace()

    def _replace(self) -> None:
        """Go on with a new producer where the old one met an error it cannot recover from."""
        with self._lock:
            old, self._producer, self._broken = self._producer, self._new_producer(), False
        old.purge()
        old.flush(self._address.options.timeout_ms / 1_000)

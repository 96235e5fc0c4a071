"""One consumer's part in a group: which partitions are its own, and under which fencing number."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kindred.adapters.kafka.address import LOGGER, Address
from kindred.adapters.kafka.group_offsets import GroupOffsets
from kindred.adapters.kafka.topics import Epoch, Epochs
from kindred.core.errors import KindredError, LeaseHeld
from kindred.core.position import Position

_TICK_SECONDS = 0.01
_COMMIT_SECONDS = 5.0
_MOVE_SECONDS = 0.5
# A fencing number counts the owners of one partition within its epoch; a later epoch's numbers are all higher.
_EPOCH_FENCE = 1 << 32


class KafkaMembership:
    """A subscribed consumer that never fetches: it heartbeats in a thread of its own while others fold.

    The partitions shared are those of the oldest epoch that the group has not folded to its end; then all members go
    on to the next one. A partition becomes a claim once its new owner has committed the next fencing number in the
    partition's commit metadata; the group's coordinator refuses that commit from anyone who is no member of its
    present generation.
    """

    def __init__(self, address: Address, offsets: GroupOffsets, group: str, epochs: Callable[[], Epochs]) -> None:
        """Join; `epochs` says which there are now. What is shared is the oldest that the group has not finished."""
        self._address, self._offsets, self._group, self._epochs = address, offsets, group, epochs
        self._lock = threading.RLock()
        self._assigned: set[tuple[str, int]] = set()
        self._claims: dict[tuple[str, int], int] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._answers: dict[tuple[str, int, int], list[Future[KafkaError | None]]] = {}
        self._wanted: SimpleQueue[tuple[TopicPartition, Future[None]]] = SimpleQueue()
        self._doubted = False
        self._closing = threading.Event()
        self._alive = time.monotonic()
        self._consumer = Consumer(self._settings())
        self._shared = self._unfinished(epochs().all[0])
        self._asked = time.monotonic()
        self._subscribe()
        self._thread = threading.Thread(target=self._serve, name=f"kafka-member-{group}", daemon=True)
        self._thread.start()

    @property
    def group(self) -> str:
        """Return the group's name as the log calls it."""
        return self._group

    @property
    def left(self) -> bool:
        """Say whether it gave its partitions back for good."""
        return self._closing.is_set()

    @property
    def epoch(self) -> int:
        """Return the number of the epoch whose partitions are shared now; nothing newer is folded meanwhile."""
        return self._shared.number

    def has(self, partition: int) -> bool:
        """Say whether a partition is this member's now."""
        return partition in self._owned()

    async def claims(self) -> Mapping[int, int]:
        """Return the partitions that are owned now, each with its fencing number.

        They are those of one epoch: the newer one's arrive when the group has folded the older one to its end.
        """
        return self._owned()

    async def holds(self, partition: int, fence: int) -> bool:
        """Say whether a partition is still owned under `fence`."""
        return self._owned().get(partition) == fence

    async def leave(self) -> None:
        """Give all partitions back at once; a second call does nothing."""
        if not self._closing.is_set():
            self._closing.set()
            with self._lock:
                self._claims.clear()
            await asyncio.to_thread(self._end)

    def commit(self, epoch: Epoch, position: Position) -> None:
        """Commit as this member, never backwards; raise LeaseHeld where the partition is not its own. Blocks."""
        key = (epoch.topic, position.partition)
        with self._lock:
            fence = self._claims.get(key)
            if fence is None:
                raise LeaseHeld(f"partition {position.partition} of group {self._group} is not this consumer's")
            if position.offset + 1 <= self._next.get(key, 0):
                return
        place = TopicPartition(epoch.topic, position.partition, position.offset + 1, str(fence))
        deadline = time.monotonic() + _COMMIT_SECONDS
        while True:
            try:
                self._commit_soon(place)
            except KafkaException as error:
                refused = self._offsets.refused(self._group, error)
                # While partitions move, the coordinator takes no commits for a moment.
                if not isinstance(refused, LeaseHeld) or key not in self._claims or time.monotonic() > deadline:
                    raise refused from error
                time.sleep(_TICK_SECONDS)
            else:
                break
        with self._lock:
            self._next[key] = max(self._next.get(key, 0), position.offset + 1)

    def _settings(self) -> dict[str, object]:
        session = self._address.options.session_timeout_ms
        return self._address.client(**{
            "group.id": self._offsets.name(self._group),
            "group.protocol": "classic",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session,
            "heartbeat.interval.ms": max(session // 5, 200),
            "max.poll.interval.ms": max(300_000, session),
            "enable.auto.commit": False,
            "on_commit": self._answered,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
        })  # fmt: skip

    def _subscribe(self) -> None:
        self._consumer.subscribe([self._shared.topic], on_assign=self._gain, on_revoke=self._lose, on_lost=self._lose)

    def _owned(self) -> dict[int, int]:
        """Return the claims, none of them where this process stood still for longer than its session lasts."""
        with self._lock:
            if self._doubted or self._closing.is_set() or self._silent():
                return {}
            topic = self._shared.topic
            return {partition: fence for (of, partition), fence in self._claims.items() if of == topic}

    def _silent(self) -> bool:
        # The coordinator counts from the last heartbeat, which may be older than the last turn of the thread here.
        return time.monotonic() - self._alive > self._address.options.session_timeout_ms / 2_000

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._turn()
            except KafkaException as error:
                LOGGER.warning("group %s: %s", self._group, self._offsets.refused(self._group, error))
                self._closing.wait(_TICK_SECONDS)
            except KindredError as error:
                LOGGER.warning("group %s: %s", self._group, error)
                self._closing.wait(_TICK_SECONDS)

    def _turn(self) -> None:
        """Serve rebalances for a moment, then claim what was assigned."""
        with self._lock:
            self._doubted = self._doubted or self._silent()
            self._alive = time.monotonic()
        self._consumer.poll(_TICK_SECONDS)
        self._commit_wanted()
        self._move_on()
        if self._doubted:
            self._settle_doubt()
        else:
            for key in sorted(self._assigned - self._claims.keys()):
                self._claim(key)

    def _move_on(self) -> None:
        """Share the next epoch once the group has finished this one; asked for now and then."""
        now = time.monotonic()
        if self._shared == self._epochs().present or now - self._asked < _MOVE_SECONDS:
            return
        self._asked = now
        unfinished = self._unfinished(self._shared)
        if unfinished != self._shared:
            with self._lock:
                self._shared = unfinished
            self._subscribe()

    def _unfinished(self, first: Epoch) -> Epoch:
        """Return the oldest epoch from `first` on that the group has not finished, at the latest the present one."""
        epochs = self._epochs()
        for epoch in epochs.all:
            if epoch.number >= first.number and (
                epoch == epochs.present or not self._offsets.finished(self._group, epoch)
            ):
                return epoch
        return epochs.present

    def _settle_doubt(self) -> None:
        """After a standstill, believe in the claims again once the coordinator has taken a commit under one."""
        if self._claims:
            key, fence = next(iter(self._claims.items()))
            self._commit(TopicPartition(*key, self._next.get(key, 0), str(fence)))
        self._doubted = False

    def _gain(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_assign(places)
        consumer.pause(places)
        with self._lock:
            self._assigned |= {(each.topic, each.partition) for each in places}

    def _lose(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        with self._lock:
            for each in places:
                key = (each.topic, each.partition)
                self._assigned.discard(key)
                self._claims.pop(key, None)
        consumer.incremental_unassign(places)

    def _claim(self, key: tuple[str, int]) -> None:
        """Take the next fencing number of an assigned partition; refused commits leave it for the next turn."""
        place = self._consumer.committed([TopicPartition(*key)], timeout=_COMMIT_SECONDS)[0]
        epoch = next(each.number for each in self._epochs().all if each.topic == key[0])
        before = int(place.metadata) if place.metadata and place.metadata.isdecimal() else 0
        fence = max(before, epoch * _EPOCH_FENCE) + 1
        offset = max(place.offset, 0)
        with suppress(KafkaException):
            self._commit(TopicPartition(*key, offset, str(fence)))
            with self._lock:
                if key in self._assigned and not self._closing.is_set():
                    self._claims[key], self._next[key] = fence, offset

    def _commit_soon(self, place: TopicPartition) -> None:
        """Let the member's thread commit, and wait for it; raise KafkaException."""
        done: Future[None] = Future()
        self._wanted.put((place, done))
        try:
            done.result(2 * _COMMIT_SECONDS)
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None

    def _commit_wanted(self) -> None:
        while not self._wanted.empty():
            place, done = self._wanted.get()
            try:
                self._commit(place)
            except KafkaException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _commit(self, place: TopicPartition) -> None:
        """Commit in the member's thread, the only one that uses the consumer; raise KafkaException."""
        answer: Future[KafkaError | None] = Future()
        key = (place.topic, place.partition, place.offset)
        with self._lock:
            self._answers.setdefault(key, []).append(answer)
        self._consumer.commit(offsets=[place], asynchronous=True)
        deadline = time.monotonic() + _COMMIT_SECONDS
        while not answer.done() and time.monotonic() < deadline:
            self._consumer.poll(_TICK_SECONDS)
        error = answer.result() if answer.done() else KafkaError(KafkaError._TIMED_OUT)
        if error is not None:
            raise KafkaException(error)

    def _answered(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        for place in places:
            with self._lock:
                waiting = self._answers.pop((place.topic, place.partition, place.offset), [])
            for each in waiting:
                each.set_result(error or place.error)

    def _end(self) -> None:
        self._thread.join()
        self._consumer.close()

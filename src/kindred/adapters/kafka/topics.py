"""The topics of one log: one per epoch, found, made, sealed and trimmed."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from kindred.adapters.kafka.address import Address
from kindred.adapters.kafka.asking import REQUEST_SECONDS, Asking, Edge
from kindred.adapters.kafka.errors import code_of, translating
from kindred.core.errors import ConfigError, StoreUnavailable

RECORD_BYTES = 4 << 20
_LEADERS_SECONDS = 30.0
_DAY_MS = 86_400_000
# Brokers learn of a new topic, or of a new leader, a moment after the controller.
_MOVING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
_ABSENT = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}
BATCH_OVERHEAD = 4_096

T = TypeVar("T")


class Epoch(NamedTuple):
    """One epoch of a log: its topic and how many partitions that has."""

    number: int
    topic: str
    partitions: int


class Epochs(NamedTuple):
    """All epochs of a log that are still there, oldest first."""

    all: tuple[Epoch, ...]

    @property
    def present(self) -> Epoch:
        """Return the newest epoch, the one that is appended to."""
        return self.all[-1]

    def find(self, number: int) -> Epoch | None:
        """Return the epoch of a number."""
        return next((each for each in self.all if each.number == number), None)


class Topics:
    """The cluster's side of one log, by an administrative client; every method blocks.

    `asking`: the offsets of its partitions and groups.
    """

    def __init__(self, address: Address) -> None:
        """Make the client; nothing is sent yet. Raise ConfigError for settings that the client refuses."""
        self._address = address
        try:
            self._admin = AdminClient(address.client())
        except KafkaException as error:
            cause = error.args[0].str().removeprefix("Failed to create admin client: ")
            raise ConfigError(
                f"{address}: {cause}; see `security`, `mechanism`, `ca` and the ssl.… settings"
            ) from error
        self.asking = Asking(address)

    def name(self, epoch: int) -> str:
        """Return what the topic of an epoch is called."""
        return f"{self._address.name}.e{epoch}"

    def check(self) -> None:
        """Ask for the cluster's brokers; raise StoreUnavailable when nobody answers."""
        with translating(self._address):
            self._wait(self._admin.describe_cluster(request_timeout=REQUEST_SECONDS))

    def discover(self) -> Epochs | None:
        """Return every epoch whose topic exists, None where there is none."""
        form = re.compile(re.escape(self._address.name) + r"\.e(0|[1-9][0-9]*)")
        with translating(self._address):
            known = self._admin.list_topics(timeout=REQUEST_SECONDS).topics
        numbers = sorted(int(found[1]) for topic in known if (found := form.fullmatch(topic)))
        return Epochs(tuple(self._described(number) for number in numbers)) if numbers else None

    def newer(self, epochs: Epochs) -> Epochs:
        """Return the epochs with those that came since."""
        while (partitions := self._partitions(self.name(epochs.present.number + 1))) is not None:
            number = epochs.present.number + 1
            epochs = Epochs((*epochs.all, Epoch(number, self.name(number), partitions)))
        return epochs

    def create(self, number: int, partitions: int) -> Epoch:
        """Make an epoch's topic, or find it, and wait until it can be written to."""
        self.make(self.name(number), partitions, self._log_settings())
        return self._described(number)

    def make(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        """Make a topic where it is not there."""
        try:
            self._create(topic, partitions, settings)
        except StoreUnavailable as error:
            if code_of(error.__cause__ or error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        self._until(lambda: self._partitions(topic) is not None, f"topic {topic} has no leaders yet")
        # Another process may have made it at the same moment, with another number of partitions.
        self._offsets(topic, range(self._partitions(topic) or 0), Edge.LATEST)

    def try_create(self, number: int, partitions: int) -> None:
        """Raise StoreUnavailable where the cluster would refuse to make an epoch's topic."""
        try:
            self._create(self.name(number), partitions, self._log_settings(), only_try=True)
        except StoreUnavailable as error:
            if code_of(error.__cause__ or error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    def _create(self, topic: str, partitions: int, settings: Mapping[str, str], *, only_try: bool = False) -> None:
        wanted = NewTopic(topic, partitions, self._address.options.replication, config=dict(settings))
        with translating(self._address):
            asked = self._admin.create_topics([wanted], request_timeout=REQUEST_SECONDS, validate_only=only_try)
            self._wait(asked[topic])

    def replicated(self) -> dict[str, str]:
        """Return the settings that keep acknowledged records when a broker is lost."""
        options = self._address.options
        in_sync = options.min_insync or max(1, options.replication - 1)
        return {"min.insync.replicas": str(in_sync), "unclean.leader.election.enable": "false"}

    def seal(self, epoch: Epoch) -> None:
        """Make brokers refuse records for an epoch's topic; returns once the leader of every partition does so."""
        entry = ConfigEntry("max.message.bytes", "0", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, epoch.topic, incremental_configs=[entry])
        with translating(self._address):
            done = self._admin.incremental_alter_configs([resource], request_timeout=REQUEST_SECONDS)
            self._wait(done[resource])
        self._until(lambda: self._refuses(epoch), f"topic {epoch.topic} is not sealed yet")

    def ends(self, epoch: Epoch) -> list[int]:
        """Return the offset behind the last durable record of each partition."""
        return self._offsets(epoch.topic, range(epoch.partitions), Edge.LATEST)

    def starts(self, epoch: Epoch) -> list[int]:
        """Return the offset of the first record that each partition still has."""
        return self._offsets(epoch.topic, range(epoch.partitions), Edge.EARLIEST)

    def end(self, topic: str, partition: int) -> int:
        """Return the offset behind the last durable record of one partition."""
        return self._offsets(topic, [partition], Edge.LATEST)[0]

    def start(self, topic: str, partition: int) -> int:
        """Return the offset of the first record that one partition still has."""
        return self._offsets(topic, [partition], Edge.EARLIEST)[0]

    def delete_before(self, topic: str, partition: int, offset: int) -> int:
        """Delete what stands before `offset`, at most everything; return how many records went."""
        first, end = self.start(topic, partition), self.end(topic, partition)
        offset = min(offset, end)
        if offset <= first:
            return 0
        place = TopicPartition(topic, partition, offset)
        with translating(self._address):
            done = self._admin.delete_records([place], request_timeout=REQUEST_SECONDS)
            return int(self._wait(done[place]).low_watermark) - first

    def _offsets(self, topic: str, partitions: Iterable[int], edge: Edge) -> list[int]:
        deadline = time.monotonic() + REQUEST_SECONDS
        with translating(self._address):
            while True:
                try:
                    return self.asking.offsets(topic, partitions, edge)
                except KafkaException as error:
                    if code_of(error) not in _MOVING or time.monotonic() > deadline:
                        raise
                time.sleep(0.05)

    def _log_settings(self) -> dict[str, str]:
        return self.replicated() | {
            "cleanup.policy": "delete",
            "retention.ms": str(self._address.options.retention_days * _DAY_MS),
            "max.message.bytes": str(RECORD_BYTES + BATCH_OVERHEAD),
            # What stands in the far future is refused: so a seal can be tried without writing anything.
            "message.timestamp.after.max.ms": str(_DAY_MS),
        }

    def _refuses(self, epoch: Epoch) -> bool:
        """Say whether every leader refuses for its size a record that it would otherwise refuse for its time."""
        answers: list[KafkaError | None] = []
        producer = Producer(self._address.client(**{"acks": "all", "message.timeout.ms": int(REQUEST_SECONDS * 1_000)}))
        far = int(time.time() * 1_000) + 30 * _DAY_MS
        for partition in range(epoch.partitions):
            producer.produce(
                epoch.topic, b"", partition=partition, timestamp=far, on_delivery=lambda error, _: answers.append(error)
            )
        producer.flush(REQUEST_SECONDS)
        codes = [error.code() for error in answers if error is not None]
        return codes == [KafkaError.MSG_SIZE_TOO_LARGE] * epoch.partitions

    def _described(self, number: int) -> Epoch:
        topic = self.name(number)
        self._until(lambda: self._partitions(topic) is not None, f"topic {topic} has no leaders")
        return Epoch(number, topic, self._partitions(topic) or 0)

    def _partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has, None while it is not there or one of them has no leader."""
        with translating(self._address):
            described = self._admin.describe_topics(TopicCollection([topic]), request_timeout=REQUEST_SECONDS)
            try:
                partitions = self._wait(described[topic]).partitions
            except KafkaException as error:
                if code_of(error) in _ABSENT:
                    return None
                raise
        return len(partitions) if partitions and all(each.leader is not None for each in partitions) else None

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _LEADERS_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{self._address}: {otherwise}", retry_after=5)
            time.sleep(0.05)

    @staticmethod
    def _wait(answer: "Future[Any]") -> Any:
        return answer.result(REQUEST_SECONDS + 5)

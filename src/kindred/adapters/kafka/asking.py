"""Offsets of partitions and of groups, asked for by consumers that belong to no group and fetch nothing."""

import threading
from collections.abc import Iterable, Sequence
from enum import IntEnum

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kindred.adapters.kafka.address import Address

REQUEST_SECONDS = 10.0


class Edge(IntEnum):
    """The two ends of a partition, as the protocol numbers them among times."""

    LATEST = -1
    EARLIEST = -2


class Asking:
    """Asks and commits by one consumer for each group; every method blocks, and raises KafkaException.

    The administrative client could ask the same, but librdkafka's requests of that kind to a group's coordinator wait
    for good once their connection was lost, and can end the process (confluentinc/librdkafka, issue 4605).
    """

    def __init__(self, address: Address) -> None:
        """Connect to nothing yet."""
        self._address = address
        self._consumers: dict[str, Consumer] = {}
        self._lock = threading.Lock()

    def offsets(self, topic: str, partitions: Iterable[int], edge: Edge) -> list[int]:
        """Return the first offset, or the one behind the last record, of each partition."""
        asked = [TopicPartition(topic, partition, int(edge)) for partition in partitions]
        found = self._consumer(f"{self._address.name}.readers").offsets_for_times(asked, timeout=REQUEST_SECONDS)
        return [place.offset for place in _sound(found)]

    def committed(self, group: str, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Return what a group has committed at each place, a negative offset where nothing."""
        return _sound(self._consumer(group).committed(list(places), timeout=REQUEST_SECONDS))

    def commit(self, group: str, place: TopicPartition) -> None:
        """Commit for a group; a group that has members refuses it."""
        _sound(self._consumer(group).commit(offsets=[place], asynchronous=False) or [])

    def _consumer(self, group: str) -> Consumer:
        with self._lock:
            if group not in self._consumers:
                self._consumers[group] = Consumer(
                    self._address.client(**{
                        "group.id": group,
                        "enable.auto.commit": False,
                        "enable.auto.offset.store": False,
                        "allow.auto.create.topics": False,
                    })
                )  # fmt: skip
            return self._consumers[group]


def _sound(places: Sequence[TopicPartition]) -> list[TopicPartition]:
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return list(places)

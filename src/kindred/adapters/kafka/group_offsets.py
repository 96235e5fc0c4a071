"""How far each group has folded: its committed offsets in Kafka, per epoch's topic."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kindred.adapters.kafka.address import Address
from kindred.adapters.kafka.errors import code_of, translated, translating
from kindred.adapters.kafka.topics import Epoch, Epochs, Topics
from kindred.core.errors import InvalidInput, KindredError, LeaseHeld
from kindred.core.position import Position

_MEMBERS = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
}


class GroupOffsets:
    """The commits of groups on one log; every method blocks.

    Kafka keeps the offset to read next, so position -1 is offset 0; a commit of offset 0 counts as none.
    """

    def __init__(self, address: Address, topics: Topics) -> None:
        """Ask by what `topics` asks by."""
        self._address, self._topics = address, topics

    def name(self, group: str) -> str:
        """Return what a group of this log is called in Kafka."""
        return f"{self._address.name}.{group}"

    def next_offsets(self, group: str, epochs: Sequence[Epoch]) -> dict[tuple[int, int], int]:
        """Return the offset to read next by (epoch, partition), where something was committed."""
        return {key: place.offset for key, place in self._places(group, epochs).items() if place.offset > 0}

    def finished(self, group: str, epoch: Epoch) -> bool:
        """Say whether a group has folded all of a sealed epoch; what was trimmed needs no fold."""
        known = self.next_offsets(group, [epoch])
        starts, ends = self._topics.starts(epoch), self._topics.ends(epoch)
        return all(
            max(known.get((epoch.number, partition), 0), start) >= end
            for partition, (start, end) in enumerate(zip(starts, ends, strict=True))
        )

    def _places(self, group: str, epochs: Sequence[Epoch]) -> dict[tuple[int, int], TopicPartition]:
        asked = [TopicPartition(epoch.topic, partition) for epoch in epochs for partition in range(epoch.partitions)]
        numbers = {epoch.topic: epoch.number for epoch in epochs}
        with translating(self._address):
            places = self._topics.asking.committed(self.name(group), asked)
        return {(numbers[place.topic], place.partition): place for place in places if place.offset >= 0}

    def commit(self, group: str, epochs: Epochs, position: Position) -> None:
        """Commit for a group without members, never backwards; raise LeaseHeld where it has members."""
        epoch = checked_epoch(epochs, position)
        known = self._places(group, [epoch]).get((position.epoch, position.partition))
        if known is not None and position.offset + 1 <= known.offset:
            return
        # The metadata holds the fencing number of the last owner, which the next one counts on from.
        fence = known.metadata if known is not None else None
        place = TopicPartition(epoch.topic, position.partition, position.offset + 1, fence or "")
        try:
            self._topics.asking.commit(self.name(group), place)
        except KafkaException as error:
            raise self.refused(group, error) from error

    def refused(self, group: str, error: KafkaException) -> KindredError:
        """Return the error that says why a commit of a group was refused."""
        if code_of(error) in _MEMBERS:
            return LeaseHeld(f"group {group} has members of its own; only the one that holds a partition commits it")
        return translated(self._address, error)

    def committed(self, group: str, epochs: Epochs) -> list[Position]:
        """Return where each partition is to be read on from, in the oldest epoch the group has not finished.

        Partitions that only an older epoch has are there too, while something in them is unread.
        """
        known = self.next_offsets(group, epochs.all)
        ends = {epoch.number: self._topics.ends(epoch) for epoch in epochs.all}
        places = [
            self._place(partition, epochs, known, ends)
            for partition in range(max(epoch.partitions for epoch in epochs.all))
        ]
        return [place for place in places if place is not None]

    def _place(
        self, partition: int, epochs: Epochs, known: dict[tuple[int, int], int], ends: dict[int, list[int]]
    ) -> Position | None:
        having = [epoch for epoch in epochs.all if partition < epoch.partitions]
        started = [index for index, epoch in enumerate(having) if (epoch.number, partition) in known]
        for epoch in having[started[-1] if started else 0 :]:
            after = known.get((epoch.number, partition), 0)
            if epoch == epochs.present or after < ends[epoch.number][partition]:
                return Position(epoch.number, partition, after - 1)
        return None


def checked_epoch(epochs: Epochs, position: Position) -> Epoch:
    """Return the epoch of a position; raise InvalidInput where this log has no such place."""
    epoch = epochs.find(position.epoch)
    if epoch is None or not 0 <= position.partition < epoch.partitions:
        has = ", ".join(f"epoch {each.number} with {each.partitions} partitions" for each in epochs.all)
        raise InvalidInput.at("/position", f"this log has {has}, and {position} is in none of them")
    return epoch

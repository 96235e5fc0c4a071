"""What folding adds to the log of events: handed-over records, re-keyed events, erasures that follow, markers."""

from collections.abc import Mapping, Sequence

import msgspec

from kindred.core.errors import InvalidInput
from kindred.core.event import (
    HandedOver,
    HistoryRemoved,
    Imported,
    Interaction,
    ProfileErased,
    ProfileUpdated,
    Served,
    encode_event,
    partition_key,
)
from kindred.core.position import Position
from kindred.features.changes import Forgetting, Handing, Outgoing
from kindred.features.user_fold import Person, UserFold
from kindred.ingest.plan import PersonEvent
from kindred.ingest.portions import append_in_portions
from kindred.ports.log import EventLog


async def append_outgoing(
    people: Sequence[tuple[Position, PersonEvent]], folds: Sequence[tuple[Person, UserFold]], log: EventLog
) -> int:
    """Append what users' folds hand on, in order of position, durable on return; return how much it was.

    After a crash it is appended again: the merge's id and the event's own make it count once.
    """
    handed = sorted(
        ((out.position, person.user_id, out) for person, fold in folds for out in fold.outgoing),
        key=lambda each: each[0],
    )
    events = dict(people)
    made = (outgoing_event(user_id, out, events) for _, user_id, out in handed)
    return await append_in_portions(((partition_key(event), encode_event(event)) for event in made), log)


def outgoing_event(
    user_id: str, out: Outgoing, events: Mapping[Position, PersonEvent]
) -> HandedOver | Interaction | Served | HistoryRemoved | ProfileUpdated | ProfileErased:
    """Return the event that a fold of `user_id` hands on; `events` by position."""
    event = events[out.position]
    if isinstance(out, Handing):
        return HandedOver(
            event_id=f"{out.merge_id}.handed",
            timestamp=event.timestamp,
            ingested_at=event.ingested_at,
            user_id=out.into,
            merge_id=out.merge_id,
            source=user_id,
            record=out.record,
        )
    if isinstance(out, Forgetting):
        return ProfileErased(
            event_id=f"{event.event_id}.follows",
            timestamp=out.arrival,
            ingested_at=out.arrival,
            user_id=out.user_id,
            follows=True,
        )
    if isinstance(event, Interaction | Served | HistoryRemoved | HandedOver):
        return msgspec.structs.replace(event, user_id=out.into)
    if isinstance(event, ProfileUpdated):
        return msgspec.structs.replace(event, profile=msgspec.structs.replace(event.profile, user_id=out.into))
    raise InvalidInput(f"an event of the kind {type(event).__name__} cannot be re-keyed")


async def copy_marker(position: Position, marker: Imported, log: EventLog) -> None:
    """Append an import's marker to the other partitions too, each of which folds its own users of the import.

    The marker that stands in the partition of its own key is the one that is copied. Nothing can be added to an epoch
    that is over: then the marker goes on to the present one too, whose partitions fold the users that are left.
    """
    if log.partition_of(marker.import_id, position.epoch) != position.partition:
        return
    data, partitions = encode_event(marker), await log.partitions()
    epochs = {max(partitions)}
    if position.epoch in epochs:
        keys = _keys(marker.import_id, position.epoch, partitions[position.epoch], log)
        placed = await log.append([(keys[part], data) for part in sorted(keys) if part != position.partition])
        # The epoch may have ended under the copies, some of which then stand in the next one.
        epochs = {place.epoch for place in placed}
    if epochs - {position.epoch}:
        await log.append([(marker.import_id, data)])


def _keys(import_id: str, epoch: int, partitions: int, log: EventLog) -> dict[int, str]:
    """Return a key for each partition of an epoch."""
    keys: dict[int, str] = {}
    number = 0
    while len(keys) < partitions:
        key = f"{import_id}#{number}"
        keys.setdefault(log.partition_of(key, epoch), key)
        number += 1
    return keys

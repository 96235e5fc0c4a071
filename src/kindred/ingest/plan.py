"""From log records to what a batch has to do: decoded, checked, the unreadable set apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import xxhash

from kindred.core.clock import HOUR, LATEST
from kindred.core.errors import InvalidInput
from kindred.core.event import (
    Event,
    Imported,
    Interaction,
    ItemDeleted,
    ItemUpserted,
    ProfileErased,
    ProfileUpdated,
    Served,
    decode_event,
)
from kindred.core.ids import check_id
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.features.groups import Act, Erasure, ProfileChange
from kindred.features.users import UserChange
from kindred.ingest.event_types import LARGEST_VALUE, LONGEST_TYPE, value_field
from kindred.ports.log import DeadLetter, LogRecord

_CLOCKS_APART = HOUR


@dataclass(slots=True)
class Plan:
    """What stands in a run of log records up to `end`, by what it concerns.

    An import marker is never planned together with other records: it is alone in `marker`. `items` holds the last
    word on each item of the run, None for a deletion.
    """

    end: Position
    marker: tuple[Position, Imported] | None = None
    letters: list[DeadLetter] = field(default_factory=list)
    interactions: list[tuple[Position, Interaction]] = field(default_factory=list)
    people: list[tuple[Position, ProfileUpdated | ProfileErased]] = field(default_factory=list)
    items: dict[str, tuple[Position, Item | None]] = field(default_factory=dict)


def plan(records: Sequence[LogRecord]) -> Plan:
    """Decode and sort records up to an import marker, or that marker alone where it stands first."""
    made = Plan(records[0].position)
    for record in records:
        try:
            event = decode_event(record.data)
            check_event(event)
        except (InvalidInput, RecursionError) as error:
            made.letters.append(DeadLetter(record.position, f"unreadable: {str(error)[:300]}", record.data))
            made.end = record.position
            continue
        if isinstance(event, Imported):
            if record is records[0]:
                made.marker = (record.position, event)
                made.end = record.position
            return made
        _sort(made, record.position, event)
        made.end = record.position
    return made


def _sort(made: Plan, position: Position, event: Event) -> None:
    """Put an event where it belongs."""
    match event:
        case Interaction():
            made.interactions.append((position, event))
        case ProfileUpdated() | ProfileErased():
            made.people.append((position, event))
        case ItemUpserted():
            made.items[event.item.item_id] = (position, event.item)
        case ItemDeleted():
            made.items[event.item_id] = (position, None)


def check_event(event: Event) -> None:
    """Raise InvalidInput when folding the event could break or poison a record, whoever wrote it to the log."""
    match event:
        case Interaction():
            check_id(event.user_id, "/user_id")
            check_id(event.event_id, "/event_id")
            if event.item_id:
                check_id(event.item_id, "/item_id")
            if not 0 < len(event.event_type) <= LONGEST_TYPE:
                raise InvalidInput.at("/event_type", f"must have 1 to {LONGEST_TYPE} characters")
            event_value(event)
        case ProfileUpdated():
            check_id(event.profile.user_id, "/profile/user_id")
        case ProfileErased() | Served():
            check_id(event.user_id, "/user_id")
        case ItemUpserted():
            check_id(event.item.item_id, "/item/item_id")
        case ItemDeleted():
            check_id(event.item_id, "/item_id")
        case Imported():
            check_id(event.import_id, "/import_id")
    if not 0 <= event.timestamp <= min(LATEST, event.ingested_at + _CLOCKS_APART):
        raise InvalidInput.at("/timestamp", "is before 1970 or far ahead of its arrival")


def event_value(event: Interaction) -> float:
    """Return the event's rating or price, NaN where it has none; raise InvalidInput when it is no such number."""
    name = value_field(event.event_type)
    value = event.metadata.get(name) if name is not None else None
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_VALUE:
        raise InvalidInput.at(f"/metadata/{name}", "must be a number from -1e9 to 1e9")
    return float(value)


def user_changes(made: Plan, ordinals: Mapping[str, int]) -> dict[str, list[UserChange]]:
    """Return each user's changes in order of position; `ordinals` by item id."""
    found: dict[str, list[UserChange]] = {}
    for position, event in made.interactions:
        found.setdefault(event.user_id, []).append(_act(position, event, ordinals))
    for position, person in made.people:
        if isinstance(person, ProfileUpdated):
            change: UserChange = ProfileChange(position, person.profile)
            found.setdefault(person.profile.user_id, []).append(change)
        else:
            found.setdefault(person.user_id, []).append(Erasure(position))
    if made.people:
        for changes in found.values():
            changes.sort(key=lambda change: change.position)
    return found


def _act(position: Position, event: Interaction, ordinals: Mapping[str, int]) -> Act:
    """Make an interaction ready to be folded."""
    return Act(
        position,
        xxhash.xxh3_64_intdigest(event.event_id.encode()),
        event.ingested_at,
        ordinals[event.item_id] if event.item_id else -1,
        event.event_type,
        event.timestamp,
        event_value(event),
    )

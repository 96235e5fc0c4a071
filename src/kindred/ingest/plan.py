"""From log records to what a batch has to do: decoded, checked, the unreadable set apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from kindred.core.clock import HOUR, LATEST
from kindred.core.errors import InvalidInput
from kindred.core.event import (
    Anonymous,
    Event,
    HandedOver,
    HistoryRemoved,
    Imported,
    Interaction,
    ItemDeleted,
    ItemSwitchedOff,
    ItemUpserted,
    Merged,
    ProfileErased,
    ProfileUpdated,
    Served,
    decode_event,
)
from kindred.core.ids import check_id
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.ingest.event_types import LARGEST_VALUE, LONGEST_TYPE, MOST_SHOWN, completion, value_field
from kindred.ports.log import DeadLetter, LogRecord

PersonEvent: TypeAlias = Interaction | ProfileUpdated | ProfileErased | Merged | HandedOver | HistoryRemoved | Served

_CLOCKS_APART = HOUR
_LONGEST_SLATE = 1_000


@dataclass(slots=True)
class Plan:
    """What stands in a run of log records up to `end`, by what it concerns.

    An import marker is never planned together with other records: it is alone in `marker`. `people` holds every event
    of a user, in order. `items` holds the last word on each item of the run, None for a deletion; `switched_off` are
    those of which nothing else is said. `remains`: what forgotten people did, which only the lake tells. `unread`: the
    users' records are damaged, and are not looked at.
    """

    end: Position
    marker: tuple[Position, Imported] | None = None
    letters: list[DeadLetter] = field(default_factory=list)
    people: list[tuple[Position, PersonEvent]] = field(default_factory=list)
    items: dict[str, tuple[Position, Item | None]] = field(default_factory=dict)
    switched_off: dict[str, Position] = field(default_factory=dict)
    remains: list[tuple[Position, Anonymous]] = field(default_factory=list)
    unread: bool = False


def plan(records: Sequence[LogRecord]) -> Plan:
    """Decode and sort records up to an import marker, or that marker alone where it stands first."""
    made = Plan(records[0].position)
    for position, data in records:
        try:
            event = decode_event(data)
            check_event(event)
        except (InvalidInput, RecursionError) as error:
            made.letters.append(DeadLetter(position, f"unreadable: {str(error)[:300]}", data))
            made.end = position
            continue
        match event:
            case Imported():
                if position == records[0].position:
                    made.marker = (position, event)
                    made.end = position
                return made
            case ItemUpserted():
                made.items[event.item.item_id] = (position, event.item)
                made.switched_off.pop(event.item.item_id, None)
            case ItemDeleted():
                made.items[event.item_id] = (position, None)
                made.switched_off.pop(event.item_id, None)
            case ItemSwitchedOff():
                _switch_off(made, event.item_id, position)
            case Anonymous():
                made.remains.append((position, event))
            case _:
                made.people.append((position, event))
        made.end = position
    return made


def _switch_off(made: Plan, item_id: str, position: Position) -> None:
    if item_id not in made.items:
        made.switched_off[item_id] = position
        return
    _, item = made.items[item_id]
    if item is not None:
        made.items[item_id] = (position, msgspec.structs.replace(item, active=False))


def check_event(event: Event) -> None:
    """Raise InvalidInput when folding the event could break or poison a record, whoever wrote it to the log."""
    match event:
        case Interaction():
            _check_interaction(event)
        case ProfileUpdated():
            check_id(event.profile.user_id, "/profile/user_id")
        case ProfileErased():
            check_id(event.user_id, "/user_id")
        case HistoryRemoved():
            check_id(event.user_id, "/user_id")
            check_id(event.item_id, "/item_id")
        case Served():
            check_id(event.user_id, "/user_id")
            if len(event.items) > _LONGEST_SLATE:
                raise InvalidInput.at("/items", f"has {len(event.items)} items, at most {_LONGEST_SLATE} are folded")
            for place, item_id in enumerate(event.items):
                check_id(item_id, f"/items/{place}")
        case Merged():
            check_id(event.user_id, "/user_id")
            check_id(event.into, "/into")
            if event.into == event.user_id:
                raise InvalidInput.at("/into", "is the user itself")
        case HandedOver():
            check_id(event.user_id, "/user_id")
            check_id(event.source, "/source")
        case ItemUpserted():
            check_id(event.item.item_id, "/item/item_id")
        case ItemDeleted() | ItemSwitchedOff():
            check_id(event.item_id, "/item_id")
        case Imported():
            check_id(event.import_id, "/import_id")
    if not (0 <= event.timestamp <= LATEST and event.timestamp <= event.ingested_at + _CLOCKS_APART):
        raise InvalidInput.at("/timestamp", "is before 1970 or far ahead of its arrival")


def _check_interaction(event: Interaction) -> None:
    check_id(event.user_id, "/user_id")
    check_id(event.event_id, "/event_id")
    if event.item_id:
        check_id(event.item_id, "/item_id")
    if not 0 < len(event.event_type) <= LONGEST_TYPE:
        raise InvalidInput.at("/event_type", f"must have 1 to {LONGEST_TYPE} characters")
    if event.metadata:
        event_value(event)
        shown_ids(event)


def event_value(event: Interaction) -> float:
    """Return the event's rating or price, else its watched share; NaN where it has none.

    Raises InvalidInput when it is no such number.
    """
    if not event.metadata:
        return math.nan
    name = value_field(event.event_type)
    if name is None:
        return completion(event.metadata)
    value = event.metadata.get(name)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_VALUE:
        raise InvalidInput.at(f"/metadata/{name}", "must be a number from -1e9 to 1e9")
    return float(value)


def shown_ids(event: Interaction) -> list[str]:
    """Return the items of an impression that shows several at once; raise InvalidInput when they are no ids."""
    items = event.metadata.get("items") if not event.item_id else None
    if items is None:
        return []
    if not isinstance(items, list) or len(items) > MOST_SHOWN:
        raise InvalidInput.at("/metadata/items", f"must be a list of at most {MOST_SHOWN} ids")
    for place, item_id in enumerate(items):
        if not isinstance(item_id, str):
            raise InvalidInput.at(f"/metadata/items/{place}", "must be a string")
        check_id(item_id, f"/metadata/items/{place}")
    return items

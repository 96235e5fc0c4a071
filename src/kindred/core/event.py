"""Events: everything that the log holds."""

from typing import Any, TypeAlias

import msgspec

from kindred.core.errors import InvalidInput
from kindred.core.item import Item
from kindred.core.profile import Profile


class EventContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Where and how an interaction happened; `request_id` links it to the slate that caused it."""

    device: str | None = None
    page: str | None = None
    position: int | None = None
    session_id: str | None = None
    request_id: str | None = None
    location: str | None = None
    placement: str | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=False):
    """What all events carry; times are milliseconds since 1970 UTC."""

    event_id: str
    timestamp: int
    ingested_at: int


class Interaction(_Event, tag="i", frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A user did something, mostly to an item; `item_id` is empty for a search."""

    user_id: str
    item_id: str
    event_type: str
    context: EventContext = EventContext()
    metadata: dict[str, Any] = {}


class ItemUpserted(_Event, tag="u", frozen=True, kw_only=True, omit_defaults=True):
    """A catalogue item was created or replaced."""

    item: Item


class ItemDeleted(_Event, tag="x", frozen=True, kw_only=True, omit_defaults=True):
    """A catalogue item was taken away; its ordinal stays, as a tombstone."""

    item_id: str


class ItemSwitchedOff(_Event, tag="o", frozen=True, kw_only=True, omit_defaults=True):
    """A catalogue item is recommended no more until it is upserted again; all else that is known of it stays."""

    item_id: str


class ProfileUpdated(_Event, tag="p", frozen=True, kw_only=True, omit_defaults=True):
    """A user's profile was created or replaced."""

    profile: Profile


class ProfileErased(_Event, tag="e", frozen=True, kw_only=True, omit_defaults=True):
    """A person asked to be forgotten; `follows`: as whom this anonymous user is known since."""

    user_id: str
    follows: bool = False


class Merged(_Event, tag="g", frozen=True, kw_only=True, omit_defaults=True):
    """An anonymous user turned out to be a known one; stands in the anonymous user's partition, `event_id` names it."""

    user_id: str
    into: str


class HandedOver(_Event, tag="h", frozen=True, kw_only=True, omit_defaults=True):
    """What the state held of an anonymous user, on its way to the known one; `merge_id` makes it count once."""

    user_id: str
    merge_id: str
    source: str
    record: bytes


class HistoryRemoved(_Event, tag="r", frozen=True, kw_only=True, omit_defaults=True):
    """A user took an item out of their history, or (`reactions`) only their likes and dislikes of it."""

    user_id: str
    item_id: str
    reactions: bool = False


class Served(_Event, tag="s", frozen=True, kw_only=True, omit_defaults=True):
    """The server answered a request: what it showed, where, and with which probability it chose each item.

    `epsilons`, `pools`: by slot, how probable it was that the slot is drawn, and from how many items; empty where no
    slot could be. `pinned`: slots, from 0, that a rule filled. `seed`: of the draws. `policy`: greedy, epsilon or
    thompson; `epsilon_new` in records of earlier releases. `placements_version`: the stored version of the placements
    that it was asked under, 0 = the settings alone, and in records of earlier releases.
    """

    user_id: str
    request_id: str
    placement: str
    bundle: str
    items: list[str]
    propensities: list[float]
    sources: list[str]
    policy: str = "greedy"
    exposure: bool = True
    epsilons: list[float] = []
    pools: list[int] = []
    pinned: list[int] = []
    seed: int = 0
    placements_version: int = 0


class Imported(_Event, tag="m", frozen=True, kw_only=True, omit_defaults=True):
    """A bulk import stands here: its rows went to history, lake and state at this position."""

    import_id: str
    source: str
    interactions: int = 0
    items: int = 0
    users: int = 0


class Anonymous(_Event, tag="a", frozen=True, kw_only=True, omit_defaults=True):
    """Stands in the lake for an event of someone who was forgotten: what it added to items and placements, no name.

    `remains` is written by the fold; `told`: the placement of which a client said what it showed.
    """

    remains: bytes
    told: str = ""


Event: TypeAlias = (
    Interaction
    | ItemUpserted
    | ItemDeleted
    | ItemSwitchedOff
    | ProfileUpdated
    | ProfileErased
    | Merged
    | HandedOver
    | HistoryRemoved
    | Served
    | Imported
    | Anonymous
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """Write an event as MessagePack; raise InvalidInput for what it cannot hold, such as numbers over 64 bits."""
    try:
        return _encoder.encode(event)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the event cannot be written: {error}") from error


def decode_event(data: bytes) -> Event:
    """Read an event; raise InvalidInput when the bytes are not one."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"not an event: {error}") from error


def partition_key(event: Event) -> str:
    """Return what decides the event's partition: the user where it has one, else the item or the import."""
    match event:
        case Interaction() | ProfileErased() | Merged() | HandedOver() | HistoryRemoved() | Served():
            return event.user_id
        case ProfileUpdated():
            return event.profile.user_id
        case ItemUpserted():
            return event.item.item_id
        case ItemDeleted() | ItemSwitchedOff():
            return event.item_id
        case Imported():
            return event.import_id
        case Anonymous():
            return event.event_id

"""From a decoded request body to an interaction: every rule of the track call, as pure functions."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import msgspec

from kindred.core.clock import parse_time
from kindred.core.config import unknown_key
from kindred.core.errors import Fault, InvalidInput
from kindred.core.event import EventContext, Interaction
from kindred.core.ids import id_fault, new_id
from kindred.ingest.event_types import EventRules, json_type

WITHOUT_ITEM = ("search",)
IMPRESSION = "impression"
MOST_WHOLE = 2**31 - 1
"""The largest whole number of a context, such as a position."""
_DEEPEST = 16
# Finding the name that was meant costs time for each: one call must not hold up all others.
_UNKNOWN_TOLD = 20
_NESTING = (dict, list)
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode


class TrackContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where and how it happened; `request_id` links the event to the slate that caused it."""

    device: str | None = None
    page: str | None = None
    position: int | None = None
    session_id: str | int | None = None
    request_id: str | None = None
    location: str | None = None
    placement: str | None = None


class TrackCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a track call.

    Ids are strings of 1 to 128 characters, numbers are read as strings. `timestamp` is ISO-8601 with a zone, arrival
    when it is left out. `event_id` makes the event idempotent. `metadata` of a rating needs `rating`; that of an
    impression may hold `items`, up to 100 ids that were shown, instead of `item_id`.
    """

    user_id: str | int
    event_type: str
    item_id: str | int | None = None
    timestamp: str | None = None
    event_id: str | int | None = None
    context: TrackContext = TrackContext()
    metadata: dict[str, Any] = {}


def read_track(body: object, rules: EventRules, now: int, pointer: str = "") -> Interaction:
    """Read one decoded body into an interaction that arrived at `now` (ms).

    Raises InvalidInput with one fault per offending field, its JSON pointer starting with `pointer`.
    """
    reading = _Reading(body, TrackCall, pointer)
    event_type, metadata = reading.event_type(rules), reading.mapping("metadata")
    shown = event_type == IMPRESSION and metadata.get("items") is not None
    user_id = reading.identifier("user_id", required=True)
    item_id = reading.identifier("item_id", required=not shown and event_type not in (None, *WITHOUT_ITEM))
    if shown and reading.body.get("item_id") is not None:
        reading.fault("item_id", "stands beside metadata.items; an impression has one of them")
    event_id = reading.identifier("event_id")
    timestamp = reading.time("timestamp", now, rules.config.ahead)
    context = _context(reading)
    for key, detail in metadata_faults(event_type, metadata, rules):
        reading.fault("metadata", detail, inside=key)
    if reading.faults:
        raise InvalidInput(faults=reading.faults)
    return Interaction(
        event_id=event_id or new_id("evt"),
        timestamp=timestamp,
        ingested_at=now,
        user_id=user_id or "",
        item_id=item_id or "",
        event_type=event_type or "",
        context=context,
        metadata=with_text_ids(metadata) if shown else metadata,
    )


class _Reading:
    """One JSON object being read field by field, with the faults found so far."""

    def __init__(
        self, body: object, kind: type[msgspec.Struct], pointer: str, faults: list[Fault] | None = None
    ) -> None:
        self.pointer = pointer
        self.faults: list[Fault] = [] if faults is None else faults
        self.body: Mapping[str, Any] = {}
        if not isinstance(body, dict):
            raise InvalidInput.at(pointer or "/", f"must be an object, is {json_type(body)}")
        self.body = body
        known = [field.encode_name for field in msgspec.structs.fields(kind)]
        unknown = (key for key in body if key not in known)
        for key in islice(unknown, _UNKNOWN_TOLD):
            self.fault(key, unknown_key(key[:200], known))

    def fault(self, field: str, detail: str, inside: str | None = None) -> None:
        """Note what is wrong with a field, or with a key `inside` it."""
        path = [field] if inside is None else [field, inside]
        escaped = [part[:200].replace("~", "~0").replace("/", "~1") for part in path]
        self.faults.append(Fault(f"{self.pointer}/{'/'.join(escaped)}", detail))

    def identifier(self, field: str, required: bool = False) -> str | None:
        """Read an id; whole numbers are read as strings."""
        value = self.body.get(field)
        if value is None:
            if required:
                self.fault(field, "is required")
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self.fault(field, f"must be a string or a whole number, is {json_type(value)}")
            return None
        wrong = id_fault(value)
        if wrong is not None:
            self.fault(field, wrong)
            return None
        return value

    def whole(self, field: str) -> int | None:
        """Read a whole number of at least 0."""
        value = self.body.get(field)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_WHOLE:
            self.fault(field, f"must be a whole number from 0 to {MOST_WHOLE}")
            return None
        return value

    def mapping(self, field: str) -> dict[str, Any]:
        """Read an object; absent and null are an empty one."""
        value = self.body.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault(field, f"must be an object, is {json_type(value)}")
            return {}
        return value

    def time(self, field: str, now: int, ahead: int) -> int:
        """Read a time in ms; absent is `now`, more than `ahead` seconds in front of it is a fault."""
        value = self.body.get(field)
        if value is None:
            return now
        if not isinstance(value, str):
            self.fault(field, f"must be a string in ISO-8601 with a zone, is {json_type(value)}")
            return now
        try:
            time_ms = parse_time(value, f"{self.pointer}/{field}")
        except InvalidInput as error:
            self.faults.extend(error.faults)
            return now
        if time_ms < 0:
            self.fault(field, "is before 1970")
        if time_ms > now + ahead * 1000:
            self.fault(field, f"is more than {ahead} seconds ahead of the server's clock")
        return time_ms

    def event_type(self, rules: EventRules) -> str | None:
        """Read the event type, one of the closed list."""
        value = self.body.get("event_type")
        if value is None:
            self.fault("event_type", "is required")
        elif not isinstance(value, str):
            self.fault("event_type", f"must be a string, is {json_type(value)}")
        elif value not in rules.types:
            self.fault("event_type", f"{value[:64]!r} is {unknown_key(value[:64], rules.names)}")
        else:
            return value
        return None


def _context(reading: _Reading) -> EventContext:
    """Read the context, its faults noted with the rest."""
    fields = reading.mapping("context")
    inner = _Reading(fields, TrackContext, f"{reading.pointer}/context", reading.faults)
    return EventContext(
        device=inner.identifier("device"),
        page=inner.identifier("page"),
        position=inner.whole("position"),
        session_id=inner.identifier("session_id"),
        request_id=inner.identifier("request_id"),
        location=inner.identifier("location"),
        placement=inner.identifier("placement"),
    )


def metadata_faults(
    event_type: str | None, metadata: dict[str, Any], rules: EventRules
) -> list[tuple[str | None, str]]:
    """Return what breaks the bounds of all metadata (no key), and the rules of this event type (by key)."""
    config = rules.config
    found: list[tuple[str | None, str]] = []
    if metadata:
        if len(metadata) > config.metadata_keys:
            found.append((None, f"has {len(metadata)} keys, at most {config.metadata_keys} are kept"))
        if not _shallow(metadata, _DEEPEST):
            return [*found, (None, f"is nested more than {_DEEPEST} deep")]
        try:
            size = len(_encode_json(metadata))
            # The log keeps MessagePack, which has no whole numbers over 64 bits.
            _encode_msgpack(metadata)
        except (TypeError, ValueError, OverflowError) as error:
            return [*found, (None, f"holds what cannot be kept: {error}")]
        if size > config.metadata_bytes:
            return [*found, (None, f"has {size} bytes as JSON, at most {config.metadata_bytes} are kept")]
    kind = rules.types.get(event_type) if event_type is not None else None
    if kind is not None:
        found.extend(kind.faults(metadata))
    return found


def with_text_ids(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of an impression with the ids of its items as text."""
    return {**metadata, "items": [str(each) for each in metadata["items"]]}


def _shallow(value: dict[str, Any] | list[Any], levels: int) -> bool:
    """Say whether objects and lists are nested at most `levels` deep."""
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, _NESTING) and (levels <= 1 or not _shallow(inner, levels - 1)):
            return False
    return True

"""The quick way from a track call's bytes to an interaction, for the calls that are well formed.

What it accepts, `read_track` accepts with the same result; whatever it declines is read again by `read_track`, which
names each fault. So it may decline freely, and must never accept more.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kindred.core.clock import parse_time
from kindred.core.errors import InvalidInput
from kindred.core.event import EventContext, Interaction
from kindred.core.ids import MAX_CHARACTERS, id_fault, new_id
from kindred.ingest.event_types import EventRules
from kindred.ingest.validate import IMPRESSION, MOST_WHOLE, WITHOUT_ITEM, metadata_faults, with_text_ids

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)]
_Id = _Text | int


class _QuickContext(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The context of a track call, as it is nearly always sent."""

    device: _Id | None = None
    page: _Id | None = None
    position: Annotated[int, Meta(ge=0, le=MOST_WHOLE)] | None = None
    session_id: _Id | None = None
    request_id: _Id | None = None
    location: _Id | None = None
    placement: _Id | None = None


class QuickCall(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of a track call, as it is nearly always sent."""

    user_id: _Id
    event_type: str
    item_id: _Id | None = None
    timestamp: str | None = None
    event_id: _Id | None = None
    context: _QuickContext | None = None
    metadata: dict[str, Any] | None = None


class _QuickBatch(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    events: list[QuickCall]


_one = msgspec.json.Decoder(QuickCall)
_list = msgspec.json.Decoder(list[QuickCall])
_wrapped = msgspec.json.Decoder(_QuickBatch)
_NOWHERE = EventContext()


class _Declined(Exception):
    """The call needs the careful reader."""


def quick_event(body: bytes, rules: EventRules, now: int) -> Interaction | None:
    """Read one call that arrived at `now` (ms), or return None to have it read carefully."""
    try:
        return _interaction(_one.decode(body), rules, now)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Declined):
        return None


def quick_events(body: bytes, rules: EventRules, now: int, most: int) -> list[Interaction] | None:
    """Read a batch of 1 to `most` calls, or return None to have it read carefully: one may be bad, or none good."""
    try:
        calls = _list.decode(body) if body.lstrip()[:1] == b"[" else _wrapped.decode(body).events
        return [_interaction(call, rules, now) for call in calls] if 1 <= len(calls) <= most else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Declined):
        return None


def _interaction(call: QuickCall, rules: EventRules, now: int) -> Interaction:
    event_type, metadata = call.event_type, call.metadata or {}
    shown = event_type == IMPRESSION and metadata.get("items") is not None
    if event_type not in rules.types or ((call.item_id is None) != shown and event_type not in WITHOUT_ITEM):
        raise _Declined
    kind = rules.types[event_type]
    if (metadata or kind.required) and metadata_faults(event_type, metadata, rules):
        raise _Declined
    return Interaction(
        event_id=new_id("evt") if call.event_id is None else _id(call.event_id),
        timestamp=now if call.timestamp is None else _time(call.timestamp, now, rules.config.ahead),
        ingested_at=now,
        user_id=_id(call.user_id),
        item_id="" if call.item_id is None else _id(call.item_id),
        event_type=event_type,
        context=_NOWHERE if call.context is None else _context(call.context),
        metadata=with_text_ids(metadata) if shown else metadata,
    )


def _id(value: str | int) -> str:
    text = value if isinstance(value, str) else str(value)
    if id_fault(text) is not None:
        raise _Declined
    return text


def _id_or_none(value: str | int | None) -> str | None:
    return None if value is None else _id(value)


def _time(text: str, now: int, ahead: int) -> int:
    try:
        time_ms = parse_time(text, "/timestamp")
    except InvalidInput as error:
        raise _Declined from error
    if not 0 <= time_ms <= now + ahead * 1000:
        raise _Declined
    return time_ms


def _context(given: _QuickContext) -> EventContext:
    return EventContext(
        device=_id_or_none(given.device),
        page=_id_or_none(given.page),
        position=given.position,
        session_id=_id_or_none(given.session_id),
        request_id=_id_or_none(given.request_id),
        location=_id_or_none(given.location),
        placement=_id_or_none(given.placement),
    )

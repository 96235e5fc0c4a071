"""Log records as columns: what the lake keeps of each, and what training reads of those that are not there yet."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from kindred.core.clock import LATEST
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
from kindred.core.position import Position
from kindred.ingest.plan import check_event, event_value
from kindred.ports.log import EventLog, LogRecord, all_partitions
from kindred.training.lake_events import EVENT_SCHEMA

BATCH = 5_000

_KINDS: dict[type, str] = {
    Interaction: "interaction",
    ItemUpserted: "item",
    ItemDeleted: "item_deleted",
    ItemSwitchedOff: "item_switched_off",
    ProfileUpdated: "profile",
    ProfileErased: "erased",
    Merged: "merged",
    HandedOver: "handed_over",
    HistoryRemoved: "removed",
    Served: "served",
    Imported: "imported",
    Anonymous: "anonymous",
}
UNREADABLE = "unreadable"
# What stands in columns of its own; all else of a slate is in the JSON.
_SERVED_COLUMNS = ("event_id", "timestamp", "ingested_at", "user_id", "request_id", "placement")
_json = msgspec.json.Encoder()


def event_columns(records: Sequence[LogRecord]) -> pl.DataFrame:
    """Return a row of `EVENT_SCHEMA` per record, in order; what cannot be folded keeps its bytes as `unreadable`.

    The arrival of an unreadable record is that of the record before it (null where there is none).
    """
    rows = [_row(record) for record in records]
    columns = list(zip(*rows, strict=True)) or [()] * len(EVENT_SCHEMA)
    frame = pl.DataFrame(
        dict(zip(EVENT_SCHEMA, columns, strict=True)),
        schema={name: pl.Int64 if kind == EVENT_SCHEMA["timestamp"] else kind for name, kind in EVENT_SCHEMA.items()},
    )
    return frame.with_columns(pl.col("ingested_at").forward_fill().backward_fill()).cast(pl.Schema(EVENT_SCHEMA))


def _row(record: LogRecord) -> tuple[Any, ...]:
    """Return a record's values in the order of `EVENT_SCHEMA`."""
    epoch, partition, offset = record.position
    try:
        event = decode_event(record.data)
        check_event(event)
    except (InvalidInput, RecursionError):
        return (epoch, partition, offset, None, UNREADABLE, *(None,) * 12, None, record.data)
    arrived = min(max(event.ingested_at, 0), LATEST)
    head = (epoch, partition, offset, event.event_id, _KINDS[type(event)])
    if not isinstance(event, Interaction):
        user, item, placement, request, body = _described(event)
        times = (event.timestamp, arrived)
        return (*head, user, item, None, *times, None, request, placement, None, None, None, body, None, record.data)
    value, context = event_value(event), event.context
    return (
        *head,
        event.user_id,
        event.item_id or None,
        event.event_type,
        event.timestamp,
        arrived,
        None if math.isnan(value) else value,
        context.request_id,
        context.placement,
        context.position,
        context.device,
        context.location[:2].upper() if context.location else None,
        _json.encode(event.metadata).decode() if event.metadata else None,
        None,
        record.data,
    )


def _described(event: Event) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Return user, item, placement, request and a JSON of the rest of an event that is no interaction."""
    user = item = placement = request = None
    rest: Mapping[str, Any] = {}
    match event:
        case ItemUpserted():
            item, rest = event.item.item_id, msgspec.to_builtins(event.item)
        case ItemDeleted() | ItemSwitchedOff():
            item = event.item_id
        case ProfileUpdated():
            user, rest = event.profile.user_id, msgspec.to_builtins(event.profile)
        case ProfileErased():
            user, rest = event.user_id, {"follows": True} if event.follows else {}
        case Merged():
            user, rest = event.user_id, {"into": event.into}
        case HandedOver():
            user, rest = event.user_id, {"merge_id": event.merge_id, "source": event.source}
        case HistoryRemoved():
            user, item, rest = event.user_id, event.item_id, {"reactions": event.reactions}
        case Served():
            user, placement, request = event.user_id, event.placement, event.request_id
            rest = {name: value for name, value in msgspec.structs.asdict(event).items() if name not in _SERVED_COLUMNS}
        case Imported():
            rest = _fields(event, "import_id", "source", "interactions", "items", "users")
    return user, item, placement, request, _json.encode(rest).decode() if rest else None


def _fields(event: Event, *names: str) -> dict[str, Any]:
    return {name: getattr(event, name) for name in names}


async def log_batches(log: EventLog, ends: Mapping[int, Position]) -> AsyncIterator[list[LogRecord]]:
    """Go through each partition behind `ends` (from its start where it is not named) up to its present end.

    Partitions that only older epochs have are read to their end too.
    """
    present = {end.partition: end for end in await log.ends()}
    for partition in sorted({*await all_partitions(log), *ends}):
        after = ends.get(partition, Position(0, partition, -1))
        until = present.get(partition)
        while until is None or after < until:
            records = await log.read(after, BATCH)
            if not records:
                break
            yield records
            after = records[-1].position

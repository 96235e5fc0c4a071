"""Everything that the hot stores hold of a person, line by line, in bounded memory."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from kindred.core.clock import format_time
from kindred.core.item import CatalogItem
from kindred.features.attribution import EXPOSURE
from kindred.features.sessions import session_list
from kindred.features.users import UserRecord
from kindred.features.values.attributes import attributes_of
from kindred.features.values.users import UserReading, user_values
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionRow, InteractionStore
from kindred.ports.log import EventLog
from kindred.ports.state import StateStore
from kindred.recommend.known_user import KnownUser, known_user

Line = dict[str, Any]

_PAGE = 500
_WHOLE_CATALOGUE = ("favourite_categories",)
_ELSEWHERE = (
    ("log", "every event as it was sent, until `retention.log_days`", "kindred users export"),
    ("lake", "every event and imported row, until erasure and compaction", "kindred users export"),
    ("traces", "what requests answered, 24 hours, by request id", "GET /api/v1/requests/{request_id}/trace"),
    ("dead_letters", "events that could not be folded, until `retention.log_days`", "kindred events dead-letters list"),
)


class ExportedStores(Protocol):
    """What is read of a person."""

    @property
    def state(self) -> StateStore:
        """Return the folded state."""
        ...

    @property
    def log(self) -> EventLog:
        """Return the log of events, which tells a user's partition."""
        ...

    @property
    def profiles(self) -> ProfileStore:
        """Return the profiles."""
        ...

    @property
    def interactions(self) -> InteractionStore:
        """Return the history."""
        ...

    @property
    def catalog(self) -> CatalogStore:
        """Return the items."""
        ...


async def export_person(stores: ExportedStores, user_id: str, now: int) -> AsyncIterator[Line]:
    """Yield what state, profiles and history hold of a user as of `now` (ms); a merged one reads as the known one.

    The first line has the kind `person`, the last ones say what is kept elsewhere and who can read it.
    """
    known = await known_user(stores.state, user_id, stores.log.partition_of)
    record = known.record or UserRecord()
    yield _person(known, record, user_id, now)
    for profile in await stores.profiles.get([known.user_id, *record.aliases]):
        if profile is not None:
            yield {"kind": "profile", **msgspec.to_builtins(profile)}
    if known.record is not None:
        yield {"kind": "features", "values": await _features(stores.catalog, record, now)}
    for start, end in session_list(record.sessions):
        yield {"kind": "session", "start": format_time(start), "end": format_time(end)}
    async for line in _shown(stores.catalog, record):
        yield line
    async for rows in history_pages(stores.interactions, known.user_id):
        items = await named_items(stores.catalog, rows)
        for row in rows:
            yield {"kind": "interaction", **interaction(row, items[int(row.item)])}
    for place, holds, read_by in _ELSEWHERE:
        yield {"kind": "elsewhere", "place": place, "holds": holds, "read_by": read_by}


async def history_pages(history: InteractionStore, user_id: str) -> AsyncIterator[Sequence[InteractionRow]]:
    """Go through a user's rows, newest first, in pages that split no millisecond."""
    before: int | None = None
    while True:
        size = _PAGE
        rows = await history.by_user(user_id, size, before)
        while len(rows) == size and moment(rows[0]) == moment(rows[-1]):
            size *= 2
            rows = await history.by_user(user_id, size, before)
        if len(rows) < size:
            yield rows
            return
        before = moment(rows[-1])
        whole = [row for row in rows if moment(row) > before]
        before += 1
        yield whole


def moment(row: InteractionRow) -> int:
    """Return a row's time (ms), -1 where nobody knows it."""
    return -1 if row.timestamp is None else row.timestamp


async def named_items(catalog: CatalogStore, rows: Sequence[InteractionRow]) -> Mapping[int, CatalogItem | None]:
    """Return the items of rows by ordinal."""
    ordinals = list({int(row.item) for row in rows})
    return dict(zip(ordinals, await catalog.by_ordinals(ordinals), strict=True))


def interaction(row: InteractionRow, item: CatalogItem | None) -> Line:
    """Return a row as answers show it; `timestamp` and `value` are None where nobody knows them."""
    return {
        "item_id": None if item is None else item.item.item_id,
        "title": None if item is None else item.item.title,
        "event_type": row.event_type,
        "timestamp": None if row.timestamp is None else format_time(row.timestamp),
        "value": None if math.isnan(row.value) else row.value,
    }


def _person(known: KnownUser, record: UserRecord, asked: str, now: int) -> Line:
    return {
        "kind": "person",
        "user_id": known.user_id,
        "asked_for": asked,
        "exported_at": format_time(now),
        "state_version": str(known.watermark),
        "known": known.record is not None,
        "interactions": record.interactions,
        "merged_users": record.aliases,
    }


async def _features(catalog: CatalogStore, record: UserRecord, now: int) -> Mapping[str, Any]:
    """Return a user's features, but for those that are weighed against the whole catalogue."""
    rows = record.rows()
    ordinals = np.unique(rows.items)
    items = await catalog.by_ordinals(ordinals.tolist())
    # The person's own items stand for the catalogue, under numbers of their own.
    own = msgspec.structs.replace(record, items=np.searchsorted(ordinals, rows.items).astype("<i4").tobytes())
    attributes = attributes_of([None if item is None or not item.listed else item.item for item in items])
    values = user_values(UserReading.of(own, now, attributes))
    return {name: _plain(value) for name, value in values.items() if name not in _WHOLE_CATALOGUE}


async def _shown(catalog: CatalogStore, record: UserRecord) -> AsyncIterator[Line]:
    """Yield what the record remembers of what was shown."""
    shown = np.frombuffer(record.exposures, EXPOSURE)
    ordinals = np.unique(shown["item"]).tolist()
    items = dict(zip(ordinals, await catalog.by_ordinals(ordinals), strict=True))
    for timestamp, _, item, slot, place in shown.tolist():
        known = items[item]
        yield {
            "kind": "shown",
            "item_id": None if known is None else known.item.item_id,
            "timestamp": format_time(timestamp),
            "placement": record.places[place],
            "slot": slot,
        }


def _plain(value: Any) -> Any:
    """Return a feature's value as JSON has it."""
    return value.tolist() if hasattr(value, "tolist") else value

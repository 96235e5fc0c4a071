"""From events to what changes users' records: ids to ordinals and hashes, impressions and slates to what was shown."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import assert_never

import xxhash

from kindred.core.event import (
    HandedOver,
    HistoryRemoved,
    Interaction,
    Merged,
    ProfileErased,
    ProfileUpdated,
    Served,
)
from kindred.core.position import Position
from kindred.features.changes import (
    Act,
    Erasure,
    Handoff,
    MergeInto,
    ProfileChange,
    Removal,
    Shown,
    UserChange,
    request_hash,
)
from kindred.features.groups import FoldConfig
from kindred.ingest.exposures import Exposures
from kindred.ingest.plan import PersonEvent, event_value, shown_ids

# A server that shows an item whose id it does not know writes its ordinal.
_BARE = re.compile(r"#[0-9]{1,9}")


def wanted_items(people: Sequence[tuple[Position, PersonEvent]]) -> list[str]:
    """Return the ids of items that need an ordinal."""
    wanted: list[str] = []
    for _, event in people:
        if isinstance(event, Interaction):
            if event.item_id:
                wanted.append(event.item_id)
            elif event.metadata:
                wanted += shown_ids(event)
        elif isinstance(event, HistoryRemoved):
            wanted.append(event.item_id)
        elif isinstance(event, Served) and event.exposure:
            wanted += [item_id for item_id in event.items if not _BARE.fullmatch(item_id)]
    return wanted


def user_changes(
    people: Sequence[tuple[Position, PersonEvent]],
    ordinals: Mapping[str, int],
    exposures: Exposures,
    config: FoldConfig,
) -> dict[str, list[UserChange]]:
    """Return each user's changes in order of position; `ordinals` by item id.

    What the server says it showed counts until `exposures` knows of a client that tells for that placement.
    """
    found: dict[str, list[UserChange]] = {}
    for position, event in people:
        if isinstance(event, Interaction):
            user_id, change = event.user_id, _interaction(position, event, ordinals, exposures, config)
        else:
            user_id, change = _other(position, event, ordinals, exposures)
        if change is None:
            found.setdefault(user_id, [])
        elif user_id in found:
            found[user_id].append(change)
        else:
            found[user_id] = [change]
    return found


def _interaction(
    position: Position, event: Interaction, ordinals: Mapping[str, int], exposures: Exposures, config: FoldConfig
) -> UserChange | None:
    hashed, context = xxhash.xxh3_64_intdigest(event.event_id.encode()), event.context
    country = country_of(context.location)
    if event.event_type not in config.impressions:
        watch = _watched(event) if event.metadata else math.nan
        return Act(
            position,
            hashed,
            event.ingested_at,
            ordinals[event.item_id] if event.item_id else -1,
            event.event_type,
            event.timestamp,
            event_value(event),
            watch,
            request_hash(context.request_id),
            context.device or "",
            country,
        )
    items = [event.item_id] if event.item_id else shown_ids(event)
    if not items:
        return None
    placement = config.placement(context.placement)
    exposures.told(placement, position)
    return Shown(
        position,
        hashed,
        event.ingested_at,
        event.timestamp,
        tuple(ordinals[item_id] for item_id in items),
        request_hash(context.request_id),
        placement,
        context.position or 0,
        True,
        event.event_type,
        country,
    )


def _other(
    position: Position,
    event: ProfileUpdated | ProfileErased | Merged | HandedOver | HistoryRemoved | Served,
    ordinals: Mapping[str, int],
    exposures: Exposures,
) -> tuple[str, UserChange | None]:
    match event:
        case ProfileUpdated():
            return event.profile.user_id, ProfileChange(position, event.profile)
        case ProfileErased():
            return event.user_id, Erasure(position, event.ingested_at, event.follows)
        case Merged():
            return event.user_id, MergeInto(position, event.event_id, event.into)
        case HandedOver():
            return event.user_id, Handoff(position, event.merge_id, event.source, event.record, event.ingested_at)
        case HistoryRemoved():
            return event.user_id, Removal(position, ordinals[event.item_id], event.reactions)
        case Served():
            return event.user_id, _served(position, event, ordinals, exposures)
    assert_never(event)


def _served(position: Position, event: Served, ordinals: Mapping[str, int], exposures: Exposures) -> UserChange | None:
    """Return what a slate shows."""
    if not event.exposure or not exposures.by_server(event.placement, position):
        return None
    items = tuple(int(each[1:]) if _BARE.fullmatch(each) else ordinals[each] for each in event.items)
    if not items:
        return None
    return Shown(
        position,
        xxhash.xxh3_64_intdigest(event.event_id.encode()),
        event.ingested_at,
        event.timestamp,
        items,
        request_hash(event.request_id),
        event.placement,
        0,
        False,
    )


@lru_cache(maxsize=4096)
def country_of(location: str | None) -> str:
    """Return the two letters that a location `CC[-region[-city]]` starts with, in capitals, or nothing."""
    if not location:
        return ""
    country = location.partition("-")[0]
    return country.upper() if len(country) == 2 and country.isascii() and country.isalpha() else ""


def _watched(event: Interaction) -> float:
    """Return how many seconds were watched, NaN where the event does not say."""
    seconds = event.metadata.get("watch_duration")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 1e9:
        return math.nan
    return float(seconds)

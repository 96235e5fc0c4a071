"""One person: merge an anonymous user into a known one, read and export what is held, take items out of a history."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from kindred.api.access import accepted, described
from kindred.api.bodies import SINGLE_LIMIT, StrictBody
from kindred.api.edge import path_id
from kindred.api.platform import Injected, Platform
from kindred.api.routes.items import Limit
from kindred.api.schemas.people import HistoryEntry, HistoryPage, MergeBody, MergeOutcome, RemovalOutcome
from kindred.api.tokens import READ, WRITE
from kindred.api.writing import settle
from kindred.app.person_export import Line, export_person, interaction, moment, named_items
from kindred.core.clock import LATEST
from kindred.core.errors import Conflict
from kindred.core.event import HistoryRemoved, Merged
from kindred.core.ids import check_id, new_id
from kindred.features.groups import user_key
from kindred.features.users import UserRecord, decode_user
from kindred.ports.interactions import InteractionRow
from kindred.recommend.known_user import KnownUser, known_user

LONGEST_PAGE = 5_000
"""Rows that a page may grow to so that no millisecond is split."""

Before = Annotated[
    int | None, QueryParameter(ge=0, le=LATEST, description="ms since 1970 UTC: an answer's `next_before`")
]

_REMOVES = described(WRITE, "users", responses=accepted(RemovalOutcome, "Durable; it will be done soon"))


async def _known(platform: Platform, user_id: str) -> KnownUser:
    """Return who a user is at the end of their merges."""
    return await known_user(platform.stores.state, user_id, platform.stores.log.partition_of)


async def _sealed(platform: Platform, user_id: str) -> UserRecord | None:
    """Return what the state holds of exactly this user, where that is that they were merged into another."""
    (found,) = (await platform.stores.state.read([user_key(user_id)])).records
    record = None if found is None else decode_user(found.value)
    return record if record is not None and record.alias is not None else None


@post(
    "/api/v1/users/{user_id:str}/merge",
    dto=StrictBody[MergeBody],
    return_dto=None,
    status_code=200,
    request_max_body_size=SINGLE_LIMIT,
    **described(WRITE, "users", 409, 413, responses=accepted(MergeOutcome, "Durable; it will be done soon")),
)
async def merge_user(data: JSONBody[MergeBody], platform: Injected, user_id: FromPath[str]) -> Response[MergeOutcome]:
    """Merge an anonymous user into a known one; later events of the former count for the latter."""
    source = path_id(user_id, "/user_id")
    wanted = check_id(str(data.into), "/into")
    if source == wanted:
        raise Conflict(f"user {source!r} cannot be merged into itself: name another user in `into`")
    target = (await _known(platform, wanted)).user_id
    if target == source:
        raise Conflict(f"user {wanted!r} was merged into {source!r} already: the other way round would be a circle")
    standing = await _sealed(platform, source)
    if standing is not None:
        await _same_target(platform, source, target)
        position = None if standing.sealed is None else str(standing.sealed)
        return Response(MergeOutcome(user_id=source, into=target, status="unchanged", position=position))
    now = platform.clock.now()
    event = Merged(event_id=new_id("merge"), timestamp=now, ingested_at=now, user_id=source, into=target)
    (at,), stored = await settle(platform, [event])
    if stored:
        # Another server may have taken another merge of the same user meanwhile: the first one in the log holds.
        await _same_target(platform, source, target)
    body = MergeOutcome(user_id=source, into=target, status="stored" if stored else "queued", position=str(at))
    return Response(body, status_code=200 if stored else 202)


async def _same_target(platform: Platform, source: str, target: str) -> None:
    """Raise Conflict where a user was merged into someone else than `target`."""
    owner = (await _known(platform, source)).user_id
    if owner not in (source, (await _known(platform, target)).user_id):
        raise Conflict(f"user {source!r} was merged into {owner!r} already: a user has one target")


@get("/api/v1/users/{user_id:str}/history", **described(READ, "users"))
async def get_history(
    platform: Injected, user_id: FromPath[str], limit: Limit = 50, before: Before = None
) -> HistoryPage:
    """Return what a user did, newest first; an alias reads as the known user."""
    owner = (await _known(platform, path_id(user_id, "/user_id"))).user_id
    rows, next_before, cut = await _page(platform, owner, limit, before)
    return HistoryPage(user_id=owner, history=await _entries(platform, rows), next_before=next_before, cut=cut)


async def _page(
    platform: Platform, user_id: str, limit: int, before: int | None
) -> tuple[list[InteractionRow], int | None, bool]:
    """Return a page of whole milliseconds, where the next one starts, and whether its last one had to be cut."""
    store = platform.stores.interactions
    rows = await store.by_user(user_id, limit + 1, before)
    if len(rows) <= limit:
        return rows, None, False
    edge = moment(rows[limit - 1])
    if moment(rows[limit]) == edge:
        rows = await store.by_user(user_id, LONGEST_PAGE + 1, before)
    whole = [row for row in rows if moment(row) >= edge]
    page = whole[:LONGEST_PAGE]
    return page, edge if edge >= 0 and len(rows) > len(page) else None, len(whole) > len(page)


async def _entries(platform: Platform, rows: Sequence[InteractionRow]) -> list[HistoryEntry]:
    items = await named_items(platform.stores.catalog, rows)
    return [HistoryEntry(**interaction(row, items[int(row.item)])) for row in rows]


@get(
    "/api/v1/users/{user_id:str}/export",
    media_type="application/x-ndjson",
    **described(READ, "users", summary="Export a person, a JSON object to a line"),
)
async def export_user(platform: Injected, user_id: FromPath[str]) -> Stream:
    """Return everything that state, profiles and history hold of a user, line by line; the last line is `end`."""
    lines = export_person(platform.stores, path_id(user_id, "/user_id"), platform.clock.now())
    # What a store says at once becomes a problem; what breaks off later lacks its last line.
    first = await anext(lines)
    return Stream(_written(first, lines), media_type="application/x-ndjson")


async def _written(first: Line, lines: AsyncIterator[Line]) -> AsyncIterator[bytes]:
    encoder = msgspec.json.Encoder()
    yield encoder.encode(first) + b"\n"
    count = 1
    async for line in lines:
        yield encoder.encode(line) + b"\n"
        count += 1
    yield encoder.encode({"kind": "end", "lines": count}) + b"\n"


@delete("/api/v1/users/{user_id:str}/history/{item_id:str}", status_code=200, **_REMOVES)
async def remove_history(
    platform: Injected, user_id: FromPath[str], item_id: FromPath[str]
) -> Response[RemovalOutcome]:
    """Take an item out of a user's history; it may be recommended to them again."""
    return await _remove(platform, user_id, item_id, reactions=False)


@delete("/api/v1/users/{user_id:str}/reactions/{item_id:str}", status_code=200, **_REMOVES)
async def remove_reactions(
    platform: Injected, user_id: FromPath[str], item_id: FromPath[str]
) -> Response[RemovalOutcome]:
    """Take back a user's likes and dislikes of an item; the rest of the history stays."""
    return await _remove(platform, user_id, item_id, reactions=True)


async def _remove(platform: Platform, user_id: str, item_id: str, reactions: bool) -> Response[RemovalOutcome]:
    now = platform.clock.now()
    event = HistoryRemoved(
        event_id=new_id("evt"),
        timestamp=now,
        ingested_at=now,
        user_id=path_id(user_id, "/user_id"),
        item_id=path_id(item_id, "/item_id"),
        reactions=reactions,
    )
    (at,), stored = await settle(platform, [event])
    status = "stored" if stored else "queued"
    body = RemovalOutcome(user_id=event.user_id, item_id=event.item_id, status=status, position=str(at))  # type: ignore[arg-type]
    return Response(body, status_code=200 if stored else 202)


HANDLERS = [merge_user, get_history, export_user, remove_history, remove_reactions]

"""Catalogue items: create or replace, read, list, delete, and their generated pictures."""

from typing import Annotated

from litestar import Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from kindred.api.access import accepted, described
from kindred.api.bodies import BATCH_LIMIT, SINGLE_LIMIT, Batch, BatchBody, StrictBody
from kindred.api.cards import card
from kindred.api.edge import path_id
from kindred.api.platform import Injected
from kindred.api.schemas.items import ItemBody, ItemPage, ItemView, to_item, view
from kindred.api.schemas.outcomes import BatchOutcome, ElementOutcome, ItemOutcome
from kindred.api.tokens import READ, WRITE
from kindred.api.writing import outcome, settle, sift
from kindred.core.errors import NotFound, StoreUnavailable
from kindred.core.event import ItemDeleted, ItemUpserted
from kindred.core.ids import new_id
from kindred.core.item import CatalogItem, Item

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="how many, 1 to 200")]
After = Annotated[str, QueryParameter(max_length=128, description="continue behind this id: an answer's `next_after`")]

_PICTURE = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class ItemsBody(BatchBody[Batch[ItemBody]]):
    """Reads items, each alone."""

    field = "items"


@put(
    "/api/v1/items/{item_id:str}",
    dto=StrictBody[ItemBody],
    return_dto=None,
    request_max_body_size=SINGLE_LIMIT,
    **described(WRITE, "items", 413, responses=accepted(ItemOutcome, "Durable; answers will see it soon")),
)
async def put_item(data: JSONBody[ItemBody], platform: Injected, item_id: FromPath[str]) -> Response[ItemOutcome]:
    """Create or replace an item; recommendable at once, as new."""
    event = _upserted(to_item(data, path_id(item_id, "/item_id")), platform.clock.now())
    (position,), stored = await settle(platform, [event])
    status = "stored" if stored else "queued"
    body = ItemOutcome(item_id=event.item.item_id, status=status, position=str(position))  # type: ignore[arg-type]
    return Response(body, status_code=200 if stored else 202)


@post(
    "/api/v1/items",
    dto=ItemsBody,
    return_dto=None,
    status_code=200,
    request_max_body_size=BATCH_LIMIT,
    **described(WRITE, "items", 413, responses=accepted(BatchOutcome, "Durable; answers will see them soon")),
)
async def post_items(data: JSONBody[Batch[ItemBody]], platform: Injected) -> Response[BatchOutcome]:
    """Create or replace up to 1,000 items; each has its own result."""
    now = platform.clock.now()
    found, good = sift(data, lambda body, pointer: _upserted(to_item(body, at=pointer), now))
    positions, stored = await settle(platform, good) if good else ([], True)

    def told(event: ItemUpserted, position: str) -> ElementOutcome:
        status = "stored" if stored else "queued"
        return ElementOutcome(status=status, item_id=event.item.item_id, position=position)  # type: ignore[arg-type]

    return Response(outcome(found, positions, told), status_code=200 if stored else 202)


def _upserted(item: Item, now: int) -> ItemUpserted:
    return ItemUpserted(event_id=new_id("evt"), timestamp=now, ingested_at=now, item=item)


@get("/api/v1/items/{item_id:str}", **described(READ, "items", 404))
async def get_item(platform: Injected, item_id: FromPath[str]) -> ItemView:
    """Return one item."""
    return view(await _listed(platform, path_id(item_id, "/item_id")))


@get("/api/v1/items", **described(READ, "items"))
async def list_items(platform: Injected, limit: Limit = 50, after: After = "") -> ItemPage:
    """List items in order of id."""
    found = await platform.stores.catalog.page(after, limit + 1)
    items = [view(each) for each in found[:limit]]
    return ItemPage(items=items, next_after=items[-1].item_id if len(found) > limit else None)


@delete(
    "/api/v1/items/{item_id:str}",
    status_code=200,
    **described(WRITE, "items", 404, responses=accepted(ItemOutcome, "Durable; answers will see it soon")),
)
async def delete_item(platform: Injected, item_id: FromPath[str]) -> Response[ItemOutcome]:
    """Take an item out of every answer; its interactions stay."""
    known = await _listed(platform, path_id(item_id, "/item_id"))
    now = platform.clock.now()
    event = ItemDeleted(event_id=new_id("evt"), timestamp=now, ingested_at=now, item_id=known.item.item_id)
    (position,), stored = await settle(platform, [event])
    status = "deleted" if stored else "queued"
    body = ItemOutcome(item_id=event.item_id, status=status, position=str(position))  # type: ignore[arg-type]
    return Response(body, status_code=200 if stored else 202)


async def _listed(platform: Injected, item_id: FromPath[str]) -> CatalogItem:
    (found,) = await platform.stores.catalog.get([item_id])
    if found is None or not found.listed:
        raise NotFound(f"there is no item {item_id!r}")
    return found


@get("/api/v1/items/{item_id:str}/thumbnail.svg", media_type="image/svg+xml", **described(None, "items"))
async def thumbnail(platform: Injected, item_id: FromPath[str]) -> Response[bytes]:
    """Draw a card for an item that has no picture of its own."""
    wanted = path_id(item_id, "/item_id")
    try:
        (found,) = await platform.stores.catalog.get([wanted])
    except StoreUnavailable:
        found = None
    title = found.item.title if found is not None and found.listed else ""
    return Response(card(wanted, title).encode(), media_type="image/svg+xml", headers=_PICTURE)


HANDLERS = [put_item, post_items, get_item, list_items, delete_item, thumbnail]

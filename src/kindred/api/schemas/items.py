"""Bodies and answers about catalogue items."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from kindred.api.cards import thumbnail_url
from kindred.api.decoding import Faults
from kindred.api.schemas.fields import Id, Name, Names, Time, check_attributes, check_text, read_time
from kindred.core.clock import format_time
from kindred.core.item import CatalogItem, Item
from kindred.ingest.catalog_sync import SyncPlan

_SHOWN = 20


class ItemBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item as its owner describes it; `category` is the primary one and comes before `categories`."""

    item_id: Id | None = None
    title: Annotated[str, Meta(max_length=1_000)] = ""
    description: Annotated[str, Meta(max_length=20_000)] = ""
    category: Name | None = None
    categories: Names = ()
    tags: Names = ()
    thumbnail_url: (
        Annotated[str, Meta(max_length=2_048, pattern=r"^(https?://|/)\S*$", description="https://… or /…")] | None
    ) = None
    creator: Name | None = None
    rating: Annotated[float, Meta(ge=0, le=1_000)] | None = None
    price: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    stock: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None = None
    regions: Names = ()
    active: bool = True
    available_from: Time | None = None
    available_until: Time | None = None
    created: Time | None = None
    attributes: dict[str, Any] = {}


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue item; `updated` is when its owner last changed it."""

    item_id: str
    title: str
    description: str
    category: str | None
    categories: list[str]
    tags: list[str]
    thumbnail_url: str
    creator: str | None
    rating: float | None
    price: float | None
    stock: int | None
    regions: list[str]
    active: bool
    available_from: str | None
    available_until: str | None
    created: str | None
    attributes: dict[str, Any]
    updated: str


class ItemPage(msgspec.Struct, frozen=True, kw_only=True):
    """Items in order of id; `next_after` continues behind them, null at the end."""

    items: list[ItemView]
    next_after: str | None


def to_item(body: ItemBody, path_id: str | None = None, at: str = "") -> Item:
    """Read a body into an item; `path_id` is the id in the address, `at` the pointer of the body within a batch.

    Raises InvalidInput naming every field that breaks a rule.
    """
    faults = Faults(at)
    starts = read_time(body.available_from, "/available_from", faults)
    ends = read_time(body.available_until, "/available_until", faults)
    if starts is not None and ends is not None and ends <= starts:
        faults.add("/available_until", "must be after available_from")
    named = [body.category] if body.category is not None else []
    categories = [check_text(each, "/categories", faults) for each in dict.fromkeys([*named, *body.categories])]
    item = Item(
        item_id=_item_id(body, path_id, faults),
        title=check_text(body.title, "/title", faults),
        description=check_text(body.description, "/description", faults),
        categories=categories,
        tags=[check_text(each, "/tags", faults) for each in dict.fromkeys(body.tags)],
        thumbnail_url=body.thumbnail_url,
        creator=body.creator,
        rating=body.rating,
        price=body.price,
        stock=body.stock,
        regions=list(body.regions),
        active=body.active,
        available_from=starts,
        available_until=ends,
        created=read_time(body.created, "/created", faults),
        attributes=check_attributes(body.attributes, "/attributes", faults),
    )
    faults.done()
    return item


def _item_id(body: ItemBody, path_id: str | None, faults: Faults) -> str:
    if path_id is not None and body.item_id is not None and str(body.item_id) != path_id:
        faults.add("/item_id", f"must be the id in the address, {path_id!r}, or be left out")
    given = path_id if path_id is not None else body.item_id
    if given is None:
        faults.add("/item_id", "is required")
        return ""
    return faults.identifier(given, "/item_id")


def view(found: CatalogItem) -> ItemView:
    """Show a catalogue item."""
    item = found.item
    return ItemView(
        item_id=item.item_id,
        title=item.title,
        description=item.description,
        category=item.category,
        categories=item.categories,
        tags=item.tags,
        thumbnail_url=item.thumbnail_url or thumbnail_url(item.item_id),
        creator=item.creator,
        rating=item.rating,
        price=item.price,
        stock=item.stock,
        regions=item.regions,
        active=item.active,
        available_from=_shown(item.available_from),
        available_until=_shown(item.available_until),
        created=_shown(item.created),
        attributes=item.attributes,
        updated=format_time(found.updated),
    )


def _shown(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)


def metadata(item: Item, rating: float | None) -> dict[str, Any]:
    """Return what an answer carries about an item: its attributes, then rating, price, creator and tags where known."""
    own = {"rating": rating, "price": item.price, "creator": item.creator, "tags": item.tags or None}
    return {**item.attributes, **{name: value for name, value in own.items() if value is not None}}


class SyncOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a full list changes: how many items, the first ids of each kind, and whether it was done."""

    status: Literal["dry_run", "stored", "queued"]
    added: int
    changed: int
    removed: int
    unchanged: int
    removed_share: float
    examples: dict[str, list[str]]


def sync_outcome(plan: SyncPlan, status: Literal["dry_run", "stored", "queued"]) -> SyncOutcome:
    """Say what a plan changes."""
    written = {"added": plan.added, "changed": plan.changed}
    examples = {kind: [item.item_id for item in items[:_SHOWN]] for kind, items in written.items()}
    return SyncOutcome(
        status=status,
        added=len(plan.added),
        changed=len(plan.changed),
        removed=len(plan.removed),
        unchanged=plan.unchanged,
        removed_share=round(plan.removed_share, 4),
        examples={**examples, "removed": plan.removed[:_SHOWN]},
    )

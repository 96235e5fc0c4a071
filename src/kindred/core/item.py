"""The catalogue's noun."""

from typing import Any

import msgspec


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item as the catalogue's owner describes it.

    `categories` holds the primary one first. `rating` is 0–5 or the catalogue's own scale; `available_from`,
    `available_until` and `created` are milliseconds since 1970 UTC; `attributes` is free metadata that answers may
    carry.
    """

    item_id: str
    title: str = ""
    description: str = ""
    categories: list[str] = []
    tags: list[str] = []
    thumbnail_url: str | None = None
    creator: str | None = None
    rating: float | None = None
    price: float | None = None
    stock: int | None = None
    regions: list[str] = []
    active: bool = True
    available_from: int | None = None
    available_until: int | None = None
    created: int | None = None
    attributes: dict[str, Any] = {}

    @property
    def category(self) -> str | None:
        """Return the primary category, the one that caps and trending use."""
        return self.categories[0] if self.categories else None


class CatalogItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item with what the catalogue adds: its permanent ordinal and the sequence number of its last change.

    `listed` is false for an item known only from events, and for a deleted one: neither is ever recommended.
    """

    ordinal: int
    seq: int
    listed: bool
    item: Item
    updated: int = 0

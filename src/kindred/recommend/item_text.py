"""What an item says about itself, as the content model and the reasons read it."""

from collections.abc import Mapping

from kindred.core.item import CatalogItem, Item
from kindred.models.text import ItemText


def item_text(item: Item) -> ItemText:
    """Return the fields that content is made of."""
    return ItemText(
        title=item.title, categories=tuple(item.categories), tags=tuple(item.tags), description=item.description
    )


def title_of(known: Mapping[int, CatalogItem], ordinal: int) -> str:
    """Return an item's title, else its id, else a word for it."""
    found = known.get(ordinal)
    return "an item of yours" if found is None else found.item.title or found.item.item_id

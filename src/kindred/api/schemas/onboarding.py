"""Bodies about what a new user chooses before doing anything."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from kindred.api.decoding import Faults
from kindred.api.schemas.fields import Id, Names, check_texts
from kindred.core.item import CatalogItem

Ids: TypeAlias = Annotated[tuple[Id, ...], Meta(max_length=100)]


class PreferencesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user says they like: items by id, and names of categories and tags.

    `categories` and `tags` replace those chosen before; left out, they stay.
    """

    likes: Ids = ()
    dislikes: Ids = ()
    categories: Names | None = None
    tags: Names | None = None


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was read: every id once, names without control characters, None = as it stands."""

    likes: tuple[str, ...]
    dislikes: tuple[str, ...]
    categories: tuple[str, ...] | None
    tags: tuple[str, ...] | None

    @property
    def items(self) -> tuple[str, ...]:
        """Return all ids, the likes first."""
        return self.likes + self.dislikes


def to_choices(body: PreferencesBody) -> Choices:
    """Read a body; raise InvalidInput naming every field that breaks a rule."""
    faults = Faults()
    likes = faults.identifiers(body.likes, "/likes")
    dislikes = faults.identifiers(body.dislikes, "/dislikes")
    liked = set(likes)
    for place, item_id in enumerate(dislikes):
        if item_id in liked:
            faults.add(f"/dislikes/{place}", f"{item_id!r} is among the likes too: leave it in one of them")
    if not likes and not dislikes and body.categories is None and body.tags is None:
        faults.add("", "chooses nothing: give likes, dislikes, categories or tags")
    found = Choices(
        likes=likes,
        dislikes=dislikes,
        categories=None if body.categories is None else check_texts(body.categories, "/categories", faults),
        tags=None if body.tags is None else check_texts(body.tags, "/tags", faults),
    )
    faults.done()
    return found


def check_known(choices: Choices, found: Sequence[CatalogItem | None]) -> None:
    """Raise InvalidInput naming each id that is no listed item; `found`: what the catalogue has of `choices.items`."""
    faults = Faults()
    for place, (item_id, item) in enumerate(zip(choices.items, found, strict=True)):
        if item is None or not item.listed:
            after = place - len(choices.likes)
            pointer = f"/likes/{place}" if after < 0 else f"/dislikes/{after}"
            faults.add(pointer, f"there is no item {item_id!r} in the catalogue")
    faults.done()

"""ItemTable: the columns of the catalogue that masks and reasons need, kept current from its feed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.item import CatalogItem
from kindred.core.rng import seed_of
from kindred.features.values.attributes import WORDS, ItemAttributes, Names

NEVER = np.iinfo(np.int64).max
_FIRST = 1024


class Postings:
    """Which ordinals bear a name: a category or a tag; names compare without regard to case."""

    def __init__(self) -> None:
        """Start with no names."""
        self._members: dict[str, set[int]] = {}
        self._arrays: dict[str, Ordinals] = {}

    def replace(self, ordinal: int, old: Sequence[str], new: Sequence[str]) -> None:
        """Move an ordinal from its old names to its new ones."""
        for name in {n.casefold() for n in old} - {n.casefold() for n in new}:
            self._members[name].discard(ordinal)
            self._arrays.pop(name, None)
        for name in {n.casefold() for n in new}:
            members = self._members.setdefault(name, set())
            if ordinal not in members:
                members.add(ordinal)
                self._arrays.pop(name, None)

    def of(self, name: str) -> Ordinals:
        """Return the ordinals (m,) int32 that bear a name, ascending."""
        key = name.casefold()
        found = self._arrays.get(key)
        if found is None:
            found = np.array(sorted(self._members.get(key, ())), np.int32)
            if key in self._members:
                self._arrays[key] = found
        return found

    def bears(self, ordinal: int, name: str) -> bool:
        """Say whether an ordinal bears a name."""
        return ordinal in self._members.get(name.casefold(), ())

    def any_of(self, names: Sequence[str], size: int) -> Mask:
        """Return the mask (size,) of ordinals that bear at least one of the names."""
        mask = np.zeros(size, np.bool_)
        for name in names:
            mask[self.of(name)] = True
        return mask


class ItemTable:
    """Columns over ordinals [0, size).

    `listed bool`; `available_from`, `available_until`, `created`, `updated` int64 ms; `stock int32` (-1 = not counted);
    `rating`, `price` float32 (NaN = none); `primary`, `secondary` int32 codes of the first and the second category
    (-1 = none) into `category_names`; `creator` int32: one number per creator (-1 = none); `limited bool`: may be
    shown only in the countries that `countries` holds it under.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.seq = 0
        self.size = 0
        self.category_names: list[str] = []
        self.categories = Postings()
        self.tags = Postings()
        self.countries = Postings()
        self._codes: dict[str, int] = {}
        self._names: dict[int, tuple[list[str], list[str], list[str]]] = {}
        self._limited = 0
        self._names_of: tuple[int, Names] = (-1, Names())
        self._columns: dict[str, NDArray[Any]] = {}
        for name, (kind, blank) in _COLUMNS.items():
            self._columns[name] = np.full(_FIRST, blank, kind)

    @property
    def listed(self) -> Mask:
        """Return which ordinals may be recommended at all (size,)."""
        return self._view("listed")

    @property
    def primary(self) -> Ordinals:
        """Return the code of each primary category (size,) int32."""
        return self._view("primary")

    @property
    def creator(self) -> Ordinals:
        """Return a number for each item's creator (size,) int32, the same for the same name, -1 = none."""
        return self._view("creator")

    @property
    def rating(self) -> Floats:
        """Return the catalogue's own ratings (size,) float32."""
        return self._view("rating")

    @property
    def created(self) -> NDArray[np.int64]:
        """Return when each item was created (size,) int64 ms, 0 = unknown."""
        return self._view("created")

    @property
    def updated(self) -> NDArray[np.int64]:
        """Return when each item last changed (size,) int64 ms."""
        return self._view("updated")

    def attributes(self) -> ItemAttributes:
        """Return what features are made of: views of the columns; tags, vectors and learned scores are left out."""
        if self._names_of[0] != self.seq:
            counts = np.array([len(self.categories.of(name)) for name in self.category_names], np.float64)
            rarity = np.log((1 + self.size) / (1 + counts))
            self._names_of = (self.seq, Names(tuple(self.category_names), rarity))
        unknown = np.broadcast_to(np.float32(np.nan), self.size)
        return ItemAttributes(
            self._names_of[1],
            self.primary,
            self._view("secondary"),
            np.broadcast_to(np.uint64(0), (self.size, WORDS)),
            self.created,
            self._view("price"),
            unknown,
            unknown,
        )

    def available(self, now: int) -> Mask:
        """Return which items are on offer at `now` (ms): listed, inside their dates, in stock (size,)."""
        opens, closes, stock = self._view("available_from"), self._view("available_until"), self._view("stock")
        offered: Mask = self.listed & (opens <= now) & (closes > now) & (stock != 0)
        return offered

    def in_region(self, country: str | None) -> Mask | None:
        """Return which items may be shown in a country (size,), or None when no item is limited."""
        if not self._limited:
            return None
        mask: Mask = ~self._view("limited")
        if country:
            mask |= self.countries.any_of([country], self.size)
        return mask

    def category_of(self, ordinal: int) -> str | None:
        """Return an item's primary category."""
        code = int(self.primary[ordinal])
        return self.category_names[code] if code >= 0 else None

    def apply(self, changes: Sequence[CatalogItem]) -> None:
        """Take over changes in the feed's order."""
        for change in changes:
            self._reserve(change.ordinal + 1)
            self._set(change)
            self.seq = max(self.seq, change.seq)

    def _set(self, change: CatalogItem) -> None:
        item, ordinal = change.item, change.ordinal
        values = {
            "listed": change.listed and item.active,
            "available_from": item.available_from or 0,
            "available_until": NEVER if item.available_until is None else item.available_until,
            "stock": -1 if item.stock is None else min(max(item.stock, 0), 2**31 - 1),
            "rating": np.nan if item.rating is None else item.rating,
            "created": item.created or 0,
            "updated": change.updated,
            "limited": bool(item.regions),
            "price": np.nan if item.price is None else item.price,
            "primary": self._code(item.category),
            "creator": -1 if item.creator is None else creator_number(item.creator),
            "secondary": self._code(item.categories[1] if len(item.categories) > 1 else None),
        }
        self._limited += int(bool(item.regions)) - int(self._columns["limited"][ordinal])
        for name, value in values.items():
            self._columns[name][ordinal] = value
        old = self._names.get(ordinal, ([], [], []))
        new = self._names[ordinal] = (item.categories, item.tags, item.regions)
        for postings, before, after in zip((self.categories, self.tags, self.countries), old, new, strict=True):
            postings.replace(ordinal, before, after)

    def _code(self, category: str | None) -> int:
        if category is None:
            return -1
        key = category.casefold()
        if key not in self._codes:
            self._codes[key] = len(self.category_names)
            self.category_names.append(category)
        return self._codes[key]

    def _reserve(self, size: int) -> None:
        if size > len(self._columns["listed"]):
            room = max(size, 2 * len(self._columns["listed"]))
            for name, (kind, blank) in _COLUMNS.items():
                grown: NDArray[Any] = np.full(room, blank, kind)
                grown[: self.size] = self._columns[name][: self.size]
                self._columns[name] = grown
        self.size = max(self.size, size)

    def _view(self, name: str) -> NDArray[Any]:
        return self._columns[name][: self.size]


def creator_number(name: str) -> int:
    """Return 31 bits of a creator's name: no table of all names is kept, and two that meet are only kept apart."""
    return seed_of("creator", name.casefold()) >> 33


_COLUMNS: dict[str, tuple[type, object]] = {
    "listed": (np.bool_, False),
    "available_from": (np.int64, 0),
    "available_until": (np.int64, NEVER),
    "stock": (np.int32, -1),
    "rating": (np.float32, np.nan),
    "created": (np.int64, 0),
    "updated": (np.int64, 0),
    "limited": (np.bool_, False),
    "price": (np.float32, np.nan),
    "primary": (np.int32, -1),
    "secondary": (np.int32, -1),
    "creator": (np.int32, -1),
}

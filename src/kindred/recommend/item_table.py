"""ItemTable: the columns of the catalogue that masks and reasons need, kept current from its feed."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.item import CatalogItem
from kindred.features.values.attributes import ItemAttributes, Names
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.recommend.items.attributes import Attributes
from kindred.recommend.items.availability import OTHER, Availability, Edges
from kindred.recommend.items.changes import Changes
from kindred.recommend.items.columns import Columns
from kindred.recommend.items.masks import KeptMask, MaskCache
from kindred.recommend.items.passes import Passes
from kindred.recommend.items.postings import Postings

ITEMS = "items"
"""A bundle's folder of the catalogue as its training saw it."""
_POSTINGS = ("categories", "tags", "countries")
_ATTRIBUTES = "attributes"
_SLICE = 10_000
# Requests do not come in the order of their moments (ms).
_LATE = 1_000


class _Meta(msgspec.Struct):
    """What stands beside a snapshot's arrays; `newest` is the ordinal that changed last, at `seq`.

    `primaries`: codes of the categories that are some item's first.
    """

    seq: int
    size: int
    newest: int
    limited: int
    primaries: list[int] = []


class ItemTable:
    """The catalogue over ordinals [0, size): columns, which items bear which names, and the masks made of them."""

    def __init__(self) -> None:
        """Start empty."""
        self.seq = 0
        self.newest = -1
        self.categories, self.tags, self.countries = Postings(), Postings(), Postings()
        self.metadata = Attributes()
        self.changes = Changes()
        self.masks = MaskCache(self.changes)
        self.passes = Passes()
        self._columns = Columns()
        self._availability = Availability(self._columns, self.changes)
        self._at_another_time = Availability(self._columns, self.changes, key=OTHER)
        self._present = 0
        self._limited = 0
        self._primaries: set[int] = set()
        self._names_of: tuple[int, Names] = (-1, Names())

    @classmethod
    def of(cls, changes: Iterable[CatalogItem], attributes: bool = False) -> Self:
        """Return a table of items in the feed's order, however many; `attributes`: with those, to be saved."""
        table, rest = cls(), iter(changes)
        if attributes:
            table.metadata = Attributes.to_store()
        while part := list(islice(rest, _SLICE)):
            table.apply(part)
            if table.unsettled:
                table.settle()
        return table

    @property
    def size(self) -> int:
        """Return how many ordinals the table covers."""
        return self._columns.size

    @property
    def category_names(self) -> list[str]:
        """Return the names of categories by code."""
        return self.categories.names

    @property
    def listed(self) -> Mask:
        """Return which ordinals may be recommended at all (size,)."""
        return self._columns["listed"]

    @property
    def primary(self) -> Ordinals:
        """Return the code of each primary category (size,) int32."""
        return self._columns["primary"]

    @property
    def primaries(self) -> int:
        """Return how many categories are, or once were, the first of an item."""
        return len(self._primaries)

    @property
    def creator(self) -> Ordinals:
        """Return a number for each item's creator (size,) int32, the same for the same name, -1 = none."""
        return self._columns["creator"]

    @property
    def rating(self) -> Floats:
        """Return the catalogue's own ratings (size,) float32."""
        return self._columns["rating"]

    @property
    def price(self) -> Floats:
        """Return what each item costs (size,) float32, NaN where the catalogue does not say."""
        return self._columns["price"]

    @property
    def created(self) -> NDArray[np.int64]:
        """Return when each item was created (size,) int64 ms, 0 = unknown."""
        return self._columns["created"]

    @property
    def updated(self) -> NDArray[np.int64]:
        """Return when each item last changed (size,) int64 ms."""
        return self._columns["updated"]

    def column(self, name: str) -> NDArray[Any]:
        """Return a column (size,) by its name."""
        return self._columns[name]

    def attributes(self) -> ItemAttributes:
        """Return what features are made of: views of the columns; tags, vectors and learned scores are left out."""
        if self._names_of[0] != self.changes.version:
            rarity = np.log((1 + self.size) / (1 + self.categories.counts))
            self._names_of = (self.changes.version, Names(tuple(self.category_names), rarity))
        unknown = np.broadcast_to(np.float32(np.nan), self.size)
        return ItemAttributes(
            self._names_of[1],
            self.primary,
            self._columns["secondary"],
            None,
            self.created,
            self.price,
            unknown,
            unknown,
        )

    def available(self, now: int, live: bool = True) -> KeptMask:
        """Return which items are on offer at `now` (ms): listed, inside their dates, in stock.

        `live`: that is the present, whose mask everyone shares; asking for another time leaves that one what it is.
        """
        if not live or now < self._present - _LATE:
            return self._at_another_time.at(now)
        self._present = now
        return self._availability.at(now)

    def in_region(self, country: str | None) -> KeptMask | None:
        """Return which items may be shown in a country, or None when no item is limited."""
        if not self._limited:
            return None
        # Countries that no item names share one mask.
        wanted = [country] if country and country in self.countries else []

        def open_there(rows: Ordinals | None) -> Mask:
            limited: Mask = self._columns["limited"][slice(None) if rows is None else rows]
            return ~limited | self.countries.any_of(wanted, self.size, rows)

        return self.mask(("region", *map(str.casefold, wanted)), open_there)

    def in_categories(self, names: Sequence[str]) -> KeptMask:
        """Return which items bear any of some categories."""
        return self._bearing("category", self.categories, names)

    def with_tags(self, names: Sequence[str]) -> KeptMask:
        """Return which items bear any of some tags."""
        return self._bearing("tags", self.tags, names)

    def mask(self, key: tuple[object, ...], rows: Callable[[Ordinals | None], Mask]) -> KeptMask:
        """Return a filter's mask from those kept: `rows` says which of some ordinals, of all for None, pass it."""
        return self.masks.of(key, self.size, rows)

    def everything(self) -> KeptMask:
        """Return the mask of all ordinals."""
        return self.mask(("everything",), lambda rows: np.ones(self.size if rows is None else len(rows), np.bool_))

    def category_of(self, ordinal: int) -> str | None:
        """Return an item's primary category."""
        code = int(self.primary[ordinal])
        return self.category_names[code] if code >= 0 else None

    def apply(self, changes: Sequence[CatalogItem]) -> None:
        """Take over changes in the feed's order."""
        if not changes:
            return
        latest = {change.ordinal: change for change in changes}
        rows, items = list(latest.values()), [change.item for change in latest.values()]
        ordinals = np.fromiter(latest, np.int32, len(latest))
        self._columns.grow(int(ordinals.max()) + 1)
        before = int(self._columns["limited"][ordinals].sum())
        primary, secondary = (self._codes([item.categories[place : place + 1] for item in items]) for place in (0, 1))
        self._columns.write(ordinals, rows, primary, secondary)
        self._primaries.update(primary[primary >= 0].tolist())
        self._limited += int(self._columns["limited"][ordinals].sum()) - before
        self.categories.put(latest, [item.categories for item in items])
        self.tags.put(latest, [item.tags for item in items])
        self.countries.put(latest, [item.regions for item in items])
        last = max(changes, key=lambda change: change.seq)
        if last.seq > self.seq:
            self.seq, self.newest = last.seq, last.ordinal
        self.metadata.apply(dict(zip(latest, items, strict=True)))
        self.changes.add(ordinals)

    @property
    def unsettled(self) -> bool:
        """Say whether `settle` would free much memory."""
        return any(postings.unsettled for postings in self._postings())

    def settle(self) -> None:
        """Put what changed lately into arrays; it takes seconds with millions of items and reads may go on."""
        for postings in self._postings():
            postings.settle(self.size)

    def save(self, folder: Path) -> None:
        """Write everything into `folder`, from where any number of processes map it."""
        self.settle()
        self._columns.save(folder)
        for name, postings in zip(_POSTINGS, self._postings(), strict=True):
            postings.save(folder / name)
        self.metadata.save(folder / _ATTRIBUTES, self.seq, self.size)
        edges = Edges.of(self._columns)
        save_array(folder, "edge_times", edges.times)
        save_array(folder, "edge_items", edges.items)
        save_json(folder, "table", _Meta(self.seq, self.size, self.newest, self._limited, sorted(self._primaries)))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map what was saved, to take over what changed behind its `seq`; raise BundleCorrupt."""
        table, meta = cls(), load_json(folder, "table", _Meta)
        table.seq, table.newest, table._limited = meta.seq, meta.newest, meta.limited
        table._primaries = set(meta.primaries)
        table._columns = Columns.open(folder, meta.size)
        table.categories, table.tags, table.countries = (Postings.open(folder / n, meta.size) for n in _POSTINGS)
        table.metadata = Attributes.open(folder / _ATTRIBUTES)
        times = load_array(folder, "edge_times", np.int64, (None,))
        edges = Edges(times, load_array(folder, "edge_items", np.int32, (len(times),)))
        table._availability = Availability(table._columns, table.changes, edges)
        table._at_another_time = Availability(table._columns, table.changes, edges, OTHER)
        return table

    def _postings(self) -> tuple[Postings, Postings, Postings]:
        return self.categories, self.tags, self.countries

    def _codes(self, names: Sequence[Sequence[str]]) -> Ordinals:
        return np.array([self.categories.code(one[0]) if one else -1 for one in names], np.int32)

    def _bearing(self, kind: str, postings: Postings, names: Sequence[str]) -> KeptMask:
        key = (kind, *sorted({name.casefold() for name in names}))
        return self.mask(key, lambda rows: postings.any_of(names, self.size, rows))

"""The columns that the item table has anyway, as terms ask them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask, Ordinals
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items.attribute_column import SIGNS, Kinds, Readable
from kindred.recommend.items.columns import NEVER
from kindred.recommend.items.postings import Postings
from kindred.recommend.items.values import Moment, Value
from kindred.recommend.where.terms import Contains, Has, Leaf
from kindred.recommend.world import World

TABLE_FIELDS = {
    "category": Kinds.TEXT,
    "categories": Kinds.LIST,
    "tags": Kinds.LIST,
    "regions": Kinds.LIST,
    "rating": Kinds.NUMBER,
    "price": Kinds.NUMBER,
    "stock": Kinds.NUMBER,
    "created": Kinds.DATE,
    "updated": Kinds.DATE,
    "available_from": Kinds.DATE,
    "available_until": Kinds.DATE,
}
"""What each of them holds."""
_UNKNOWN = {"stock": -1, "created": 0, "updated": 0, "available_from": 0, "available_until": NEVER}


def field(world: World, name: str, asked: Sequence[Leaf]) -> Readable:
    """Return one of `TABLE_FIELDS` for the terms that ask it, to be read by a thread of its own.

    `rating` is the smoothed average, else the catalogue's own.
    """
    table, size = world.table, world.table.size
    match name:
        case "category":
            return Primary(table)
        case "categories" | "tags":
            return Labels.of(getattr(table, name), asked, size)
        case "regions":
            return Labels.of(table.countries, asked, size)
        case "rating":
            return Measures(lambda rows: world.ratings_of(np.arange(size, dtype=np.int32) if rows is None else rows))
    column = table.column(name)
    return Measures(lambda rows: column if rows is None else column[rows], _UNKNOWN.get(name))


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers, or moments as milliseconds since 1970 UTC; `unknown` or NaN stands for none."""

    read: Callable[[Ordinals | None], NDArray[Any]]
    unknown: int | None = None

    def within(self, values: Sequence[Value], rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold one of some values."""
        column = self.read(rows)
        # One by one: a number is then compared as exactly as the column holds it.
        equal = [column == _plain(value) for value in values]
        return np.logical_or.reduce(equal) & self._known(column) if equal else np.zeros(len(column), np.bool_)

    def ordered(self, sign: str, bound: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold something on the side of `bound` that `sign` says."""
        column = self.read(rows)
        with np.errstate(over="ignore"):
            mask: Mask = SIGNS[sign](column, _plain(bound)) & self._known(column)
        return mask

    def contains(self, part: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return nothing: a number has no parts."""
        return np.zeros(size if rows is None else len(rows), np.bool_)

    def has(self, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold anything."""
        return self._known(self.read(rows))

    def _known(self, column: NDArray[Any]) -> Mask:
        mask: Mask = ~np.isnan(column) if self.unknown is None else column != self.unknown
        return mask


@dataclass(frozen=True, slots=True)
class Primary:
    """The primary category."""

    table: ItemTable

    def within(self, values: Sequence[Value], rows: Ordinals | None, size: int) -> Mask:
        """Return which items have one of some categories as their primary one."""
        wanted = {value.casefold() for value in values if isinstance(value, str)}
        return self._named(lambda name: name in wanted, rows)

    def ordered(self, sign: str, bound: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return nothing: categories have no order."""
        return np.zeros(size if rows is None else len(rows), np.bool_)

    def contains(self, part: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items have a primary category whose name has a part."""
        folded = str(part).casefold()
        return self._named(lambda name: folded in name, rows)

    def has(self, rows: Ordinals | None, size: int) -> Mask:
        """Return which items have any category."""
        return self._named(lambda _: True, rows)

    def _named(self, is_wanted: Callable[[str], bool], rows: Ordinals | None) -> Mask:
        wanted = np.array([*(is_wanted(name.casefold()) for name in self.table.category_names), False])
        codes = self.table.primary if rows is None else self.table.primary[rows]
        mask: Mask = wanted[codes]
        return mask


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of which an item bears any number; what is asked of all items was looked up before."""

    postings: Postings
    bearing: Mapping[str, Mask]
    any_name: Mask | None

    @classmethod
    def of(cls, postings: Postings, asked: Sequence[Leaf], size: int) -> Self:
        """Look up what terms ask of all items, while nothing changes the postings."""
        names = {str(leaf.part.value) for leaf in asked if isinstance(leaf, Contains)}
        has = any(isinstance(leaf, Has) for leaf in asked)
        bearing = {name: postings.any_of([name], size) for name in names}
        return cls(postings, bearing, postings.any_of(postings.names, size) if has else None)

    def within(self, values: Sequence[Value], rows: Ordinals | None, size: int) -> Mask:
        """Return nothing: a list is not one value."""
        return np.zeros(size if rows is None else len(rows), np.bool_)

    def ordered(self, sign: str, bound: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return nothing: a list has no order."""
        return np.zeros(size if rows is None else len(rows), np.bool_)

    def contains(self, part: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items bear a name."""
        if rows is None and str(part) in self.bearing:
            return self.bearing[str(part)]
        return self.postings.any_of([str(part)], size, rows)

    def has(self, rows: Ordinals | None, size: int) -> Mask:
        """Return which items bear any name."""
        if rows is None and self.any_name is not None:
            return self.any_name
        return self.postings.any_of(self.postings.names, size, rows)


def _plain(value: Value) -> Any:
    return value.milliseconds if isinstance(value, Moment) else value

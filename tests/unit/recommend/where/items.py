"""Random items and expressions, and what an expression means, said by plain Python over one item."""

import random
from typing import Any

import numpy as np

from kindred.core.item import Item
from kindred.recommend.items.values import Moment, read_moment
from kindred.recommend.where.terms import (
    Contains,
    Every,
    Has,
    Literal,
    Name,
    Not,
    Ordered,
    Some,
    Term,
    Within,
)

DAY = 86_400_000
TEXTS = ("Drama", "drama", "Comedy", "com", "2020-01-02", "2021-05-05T10:00:00Z", "", "ß", "x")
NUMBERS = (-1.0, 0.0, 0.1, 1.0, 2.5, 4.0, 1990.0)
MOMENTS = tuple(Moment(DAY * day) for day in (0, 18_263, 18_264, 18_752))

_SCALARS = [*TEXTS, *NUMBERS, 1, 4, True, False, None]
_LABELS = ["Drama", "comedy", "New"]
_DAYS = [None, DAY, DAY * 18_263, DAY * 18_264]


def any_item(dice: random.Random) -> Item:
    """Return an item with anything under a few names."""

    def some(values: list[Any]) -> list[Any]:
        return dice.sample(values, dice.randint(0, 2))

    def value() -> Any:
        return dice.choice([dice.choice(_SCALARS), dice.choice(_SCALARS), some(_SCALARS), {"deep": 1}])

    attributes = {name: value() for name in "ab" if dice.random() < 0.8}
    return Item(
        item_id="i",
        title=dice.choice(["", "The Drama", "x"]),
        categories=some(_LABELS),
        tags=some(_LABELS),
        regions=some(["DE", "no"]),
        creator=dice.choice([None, "Ann", "ann b", "Bob"]),
        rating=dice.choice([None, 0.1, 2.5, 4.0]),
        price=dice.choice([None, 0.1, 1.0, 4.0]),
        stock=dice.choice([None, 0, 1, 4]),
        created=dice.choice(_DAYS),
        available_from=dice.choice(_DAYS),
        available_until=dice.choice(_DAYS),
        attributes=attributes | {"n": dice.choice([{"m": value()}, {}, value()])},
    )


ALL_KINDS = [
    Item(item_id="i", attributes={"a": value, "b": value, "n": inner})
    for value in (1, "x", True, ["x"])
    for inner in (value, {"m": value})
]
"""Items for whose sake every attribute may be asked everything."""

_ATTRIBUTES = [("attributes", "a"), ("attributes", "b"), ("attributes", "n", "m"), ("attributes", "n")]
_TEXTUAL = [("category",), ("creator",), ("title",)]
_NUMERIC = [("price",), ("rating",), ("stock",)]
_DATED = [("created",), ("available_from",), ("available_until",)]
_LISTED = [("categories",), ("tags",), ("regions",)]
_ALL = [*_ATTRIBUTES, *_TEXTUAL, *_NUMERIC, *_DATED, *_LISTED]


_VALUES: list[Any] = [*TEXTS, *NUMBERS, True, False, *MOMENTS]
_DATES: list[Any] = [*MOMENTS, "2020-01-02"]
_EQUAL = [(_ATTRIBUTES, _VALUES), (_TEXTUAL, [*TEXTS]), (_NUMERIC, [*NUMBERS]), (_DATED, _DATES)]
_ORDERED = [(_ATTRIBUTES, [*NUMBERS, *_DATES]), (_NUMERIC, [*NUMBERS]), (_DATED, _DATES)]
_CONTAINING = [(_ATTRIBUTES, [*TEXTS, *NUMBERS, True]), (_TEXTUAL, [*TEXTS]), (_LISTED, [*TEXTS, "de"])]


def any_term(dice: random.Random, depth: int = 3) -> Term:
    """Return an expression that may be asked where `ALL_KINDS` are in the catalogue."""
    kind = dice.choice([Within, Ordered, Contains, Has, *([Not, Every, Some] if depth else [])])
    if kind is Not:
        return Not(any_term(dice, depth - 1))
    if kind in (Every, Some):
        return kind(tuple(any_term(dice, depth - 1) for _ in range(dice.randint(1, 3))))
    if kind is Has:
        return Has(Name(dice.choice(_ALL)))
    names, values = dice.choice({Within: _EQUAL, Ordered: _ORDERED, Contains: _CONTAINING}[kind])
    name, literals = Name(dice.choice(names)), [Literal(value) for value in dice.sample(values, dice.randint(1, 3))]
    if kind is Within:
        return Within(name, tuple(literals))
    return (
        Ordered(name, dice.choice(["<", "<=", ">", ">="]), literals[0])
        if kind is Ordered
        else Contains(name, literals[0])
    )


def holds(item: Item, term: Term) -> bool:
    """Say whether an item is let through, one value after another."""
    match term:
        case Not():
            return not holds(item, term.term)
        case Every():
            return all(holds(item, each) for each in term.terms)
        case Some():
            return any(holds(item, each) for each in term.terms)
    value = value_of(item, term.name.parts)
    match term:
        case Has():
            return value is not None and not (isinstance(value, list) and not value)
        case Within():
            return any(_equal(value, literal.value, term.name.parts) for literal in term.values)
        case Ordered():
            return _on_the_side(value, term.sign, term.bound.value, term.name.parts)
        case Contains():
            part = term.part.value
            if isinstance(value, list):
                return any(_equal(each, part, ("attributes",)) for each in value if each is not None)
            return isinstance(value, str) and isinstance(part, str) and part.casefold() in value.casefold()


def value_of(item: Item, parts: tuple[str, ...]) -> Any:
    """Return what an item holds under a name; None for nothing, an own field's empty text, a nested object."""
    first, *path = parts
    if first == "attributes":
        value: Any = item.attributes
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return None if isinstance(value, dict) else value
    if first in ("price", "rating"):
        own = getattr(item, first)
        return None if own is None else np.float32(own)
    return getattr(item, first) or (item.stock if first == "stock" else None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.float32) and not isinstance(value, bool)


def _equal(value: Any, wanted: Any, parts: tuple[str, ...]) -> bool:
    if parts in _DATED:
        moment = read_moment(wanted) if isinstance(wanted, str) else wanted
        return value is not None and value == moment.milliseconds
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, Moment):
        return isinstance(value, str) and parts != ("attributes",) and read_moment(value) == wanted
    if isinstance(value, str) and isinstance(wanted, str):
        return value.casefold() == wanted.casefold()
    return (
        _is_number(value)
        and _is_number(wanted)
        and bool(value == type(value)(wanted) if isinstance(value, np.float32) else value == wanted)
    )


def _on_the_side(value: Any, sign: str, bound: Any, parts: tuple[str, ...]) -> bool:
    if isinstance(bound, str):
        bound = read_moment(bound)
    if isinstance(bound, Moment):
        moment = value if parts in _DATED else read_moment(value) if isinstance(value, str) else None
        value, bound = getattr(moment, "milliseconds", moment), bound.milliseconds
    elif isinstance(value, np.float32):
        bound = np.float32(bound)
    if not _is_number(value):
        return False
    return bool({"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[sign])

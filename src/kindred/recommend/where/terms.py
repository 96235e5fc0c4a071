"""The tree of a filter expression, and its canonical text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from kindred.core.clock import format_time
from kindred.recommend.items.values import ATTRIBUTES, Moment, Value

FIELDS = (
    "category",
    "categories",
    "tags",
    "creator",
    "title",
    "rating",
    "price",
    "stock",
    "regions",
    "created",
    "updated",
    "available_from",
    "available_until",
)
"""Fields of an item that have a name of their own; every other name is an attribute's."""
SHOWN = ("rating", "price", "creator", "tags")
"""Fields that answers show as `metadata.<name>`, so that they go by that name here too."""

_PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORDS = ("in", "contains", "has", "and", "or", "not", "true", "false", "null")


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an attribute by its parts; `at` is the place in the text, from 0."""

    parts: tuple[str, ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """Return the name as it is written."""
        return ".".join(part if _is_plain(part) else f"`{part}`" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value; `at` is its place in the text, from 0."""

    value: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Within:
    """The attribute is one of some values."""

    name: Name
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Ordered:
    """The attribute is `<`, `<=`, `>` or `>=` a number or a moment."""

    name: Name
    sign: str
    bound: Literal


@dataclass(frozen=True, slots=True)
class Contains:
    """The attribute is a list with this element, or a text with this part."""

    name: Name
    part: Literal


@dataclass(frozen=True, slots=True)
class Has:
    """The attribute is there and not empty."""

    name: Name


@dataclass(frozen=True, slots=True)
class Not:
    """The term does not hold."""

    term: "Term"


@dataclass(frozen=True, slots=True)
class Every:
    """All terms hold."""

    terms: tuple["Term", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one term holds."""

    terms: tuple["Term", ...]


Leaf: TypeAlias = Within | Ordered | Contains | Has
Term: TypeAlias = Leaf | Not | Every | Some


def full_name(parts: Sequence[str], at: int) -> Name:
    """Return the name that is meant: a field's, else a path that starts at `attributes`."""
    first, *rest = parts
    if first == "metadata" and rest:
        return full_name(rest if tuple(rest) in [(each,) for each in SHOWN] else [ATTRIBUTES, *rest], at)
    if first == ATTRIBUTES or (first in FIELDS and not rest):
        return Name(tuple(parts), at)
    return Name((ATTRIBUTES, *parts), at)


def leaves(term: Term) -> Iterator[Leaf]:
    """Return the terms that read an attribute, in order."""
    match term:
        case Not():
            yield from leaves(term.term)
        case Every() | Some():
            for each in term.terms:
                yield from leaves(each)
        case _:
            yield term


def canonical(term: Term) -> str:
    """Return the one text of all expressions that differ in spacing, order, capitals or repetition alone."""
    match term:
        case Within():
            values = sorted({written(literal.value) for literal in term.values})
            return f"{term.name} = {values[0]}" if len(values) == 1 else f"{term.name} in [{', '.join(values)}]"
        case Ordered():
            return f"{term.name} {term.sign} {written(term.bound.value)}"
        case Contains():
            return f"{term.name} contains {written(term.part.value)}"
        case Has():
            return f"has {term.name}"
        case Not():
            return f"not {_wrapped(term.term, Every | Some)}"
        case Every():
            return " and ".join(sorted({_wrapped(each, Some) for each in term.terms}))
        case Some():
            return " or ".join(sorted({canonical(each) for each in term.terms}))


def _wrapped(term: Term, kinds: Any) -> str:
    text = canonical(term)
    return f"({text})" if isinstance(term, kinds) else text


def written(value: Value) -> str:
    """Return a value as it is written in an expression, texts without regard to case."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return msgspec.json.encode(value.casefold()).decode()
        case Moment():
            return format_time(value.milliseconds)
        case _:
            return repr(value).removesuffix(".0")


def _is_plain(part: str) -> bool:
    return _PLAIN.fullmatch(part) is not None and part.lower() not in _WORDS

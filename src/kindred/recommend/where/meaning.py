"""Whether a comparison means anything, given what the items of the catalogue hold."""

from collections.abc import Mapping

from kindred.core.config import nearest
from kindred.recommend.items.attribute_column import Kinds
from kindred.recommend.items.values import Moment, Parts, Value, read_moment
from kindred.recommend.where.grammar import at_character
from kindred.recommend.where.terms import Contains, Has, Leaf, Literal, Name, Ordered, Within, full_name, written

_HOLDS = {
    Kinds.NUMBER: "numbers",
    Kinds.TEXT: "texts",
    Kinds.BOOL: "true or false",
    Kinds.DATE: "dates",
    Kinds.LIST: "lists",
}


def check(leaf: Leaf, known: Mapping[Parts, Kinds]) -> str | None:
    """Say what makes a comparison meaningless, given what each attribute holds; None when nothing does."""
    kinds = known.get(leaf.name.parts)
    if kinds is None:
        names = {_short(parts): parts for parts in known}
        near = nearest(_short(leaf.name.parts), names)
        hint = f"; did you mean `{_said(names[near])}`?" if near else ""
        return f"{_place(leaf.name)} is an unknown attribute{hint}"
    match leaf:
        case Within():
            faults = (_unequal(literal, kinds) for literal in leaf.values)
            wrong = next((fault for fault in faults if fault), None)
        case Ordered():
            wrong = _unordered(leaf.bound, kinds)
        case Contains():
            wrong = _uncontained(leaf.part, kinds)
        case Has():
            wrong = None
    return None if wrong is None else f"{_place(leaf.name)} holds {_held(kinds)}: {wrong}"


def _unequal(literal: Literal, kinds: Kinds) -> str | None:
    if kinds == Kinds.LIST:
        return "ask with `contains`"
    return None if _kinds_of(literal.value) & kinds else f"{_shown(literal)} is none"


def _unordered(literal: Literal, kinds: Kinds) -> str | None:
    found = _kinds_of(literal.value)
    if Kinds.BOOL in found or (found == Kinds.TEXT):
        return f"{_shown(literal)} is no number and no date, which alone have an order"
    return None if found & kinds else f"{_shown(literal)} is none"


def _uncontained(literal: Literal, kinds: Kinds) -> str | None:
    if Kinds.LIST in kinds:
        return None
    if Kinds.TEXT not in kinds:
        return "only lists and texts contain something"
    return None if isinstance(literal.value, str) else f"{_shown(literal)} is no text"


def _kinds_of(value: Value) -> Kinds:
    """Return which kinds of attribute a value can be compared with."""
    match value:
        case bool():
            return Kinds.BOOL
        case Moment():
            return Kinds.DATE | Kinds.TEXT
        case str():
            return Kinds.TEXT if read_moment(value) is None else Kinds.DATE | Kinds.TEXT
        case _:
            return Kinds.NUMBER


def _short(parts: Parts) -> str:
    """Return a name as people write it: whether it is an attribute's does not make it any nearer."""
    return ".".join(parts[1:] if len(parts) > 1 else parts)


def _said(parts: Parts) -> Name:
    """Return a name as people write it: without `attributes.` where it means the same."""
    short = parts[1:]
    return Name(short if short and full_name(short, 0).parts == parts else parts)


def _place(name: Name) -> str:
    return f"{at_character(name.at)}: `{_said(name.parts)}`"


def _shown(literal: Literal) -> str:
    return f"{written(literal.value)} ({at_character(literal.at)})"


def _held(kinds: Kinds) -> str:
    return " and ".join(said for kind, said in _HOLDS.items() if kind in kinds)

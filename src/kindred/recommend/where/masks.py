"""Which items an expression lets through, term by term."""

from collections.abc import Mapping
from functools import reduce

import numpy as np

from kindred.core.candidates import Mask, Ordinals
from kindred.recommend.items.attribute_column import Kinds, Readable
from kindred.recommend.items.values import Parts, Value, read_moment
from kindred.recommend.where.fields import TABLE_FIELDS, field
from kindred.recommend.where.terms import Contains, Every, Has, Leaf, Name, Not, Ordered, Some, Term, Within, leaves
from kindred.recommend.world import World


def by_name(term: Term) -> dict[Parts, list[Leaf]]:
    """Return what is asked of each attribute."""
    found: dict[Parts, list[Leaf]] = {}
    for leaf in leaves(term):
        found.setdefault(leaf.name.parts, []).append(leaf)
    return found


def asks_for(term: Term, *names: str) -> bool:
    """Say whether all that a term lets through has an attribute of one of these names as the term says."""
    match term:
        case Not():
            return False
        case Every():
            return any(asks_for(each, *names) for each in term.terms)
        case Some():
            return all(asks_for(each, *names) for each in term.terms)
        case _:
            return isinstance(term, Within | Contains) and term.name.parts[0] in names


def columns_of(world: World, asked: Mapping[Parts, list[Leaf]], ahead: bool = False) -> dict[Parts, Readable]:
    """Return the columns that terms read; `ahead` looks up what only this thread may, so that another can go on."""
    found: dict[Parts, Readable] = {}
    for parts, terms in asked.items():
        own = parts[0] in TABLE_FIELDS
        found[parts] = field(world, parts[0], terms if ahead else ()) if own else world.table.metadata.column(parts)
    return found


def mask_of(term: Term, columns: Mapping[Parts, Readable], rows: Ordinals | None, size: int) -> Mask:
    """Return which of some items (m,), of [0, size) for None, a term lets through, given the columns that it reads."""
    match term:
        case Not():
            return ~mask_of(term.term, columns, rows, size)
        case Every():
            return reduce(np.logical_and, (mask_of(each, columns, rows, size) for each in term.terms))
        case Some():
            return reduce(np.logical_or, (mask_of(each, columns, rows, size) for each in term.terms))
        case Within():
            values = [_meant(term.name, literal.value) for literal in term.values]
            return columns[term.name.parts].within(values, rows, size)
        case Ordered():
            bound = term.bound.value
            moment = read_moment(bound) if isinstance(bound, str) else None
            return columns[term.name.parts].ordered(term.sign, moment or bound, rows, size)
        case Contains():
            return columns[term.name.parts].contains(term.part.value, rows, size)
        case Has():
            return columns[term.name.parts].has(rows, size)


def _meant(name: Name, value: Value) -> Value:
    """Return a text as the moment that it means, where the field holds dates."""
    if isinstance(value, str) and Kinds.DATE in TABLE_FIELDS.get(name.parts[0], Kinds.NOTHING):
        return read_moment(value) or value
    return value

"""What the expressions of a request let through, kept for the requests that ask the same."""

import asyncio
from collections.abc import Mapping

import numpy as np

from kindred.core.errors import InvalidInput
from kindred.core.query import Query
from kindred.recommend.items.attribute_column import Kinds
from kindred.recommend.items.masks import KeptMask, grown
from kindred.recommend.items.values import Parts
from kindred.recommend.where.fields import TABLE_FIELDS
from kindred.recommend.where.grammar import parse
from kindred.recommend.where.masks import asks_for, by_name, columns_of, mask_of
from kindred.recommend.where.meaning import check
from kindred.recommend.where.terms import Leaf, Term, canonical
from kindred.recommend.world import World


async def let_through(world: World, asked: Mapping[str, str]) -> dict[str, KeptMask]:
    """Return what each expression of a request lets through, by its canonical text; `asked`: texts by pointer.

    Raises InvalidInput for an expression that cannot be read, for attributes that no item has and for values that they
    never hold; Overloaded while an attribute is read, or an expression worked out, for the first time.
    """
    return {canonical(parse(text, pointer)): await _kept(world, text, pointer) for pointer, text in asked.items()}


def asked_by(query: Query) -> dict[str, str]:
    """Return the expressions of a query's filters and boosts by pointer."""
    where = {} if query.filters.where is None else {"/filters/where": query.filters.where}
    return where | {f"/boosts/{place}/where": each.where for place, each in enumerate(query.params.boosts)}


def passing(query: Query, where: str) -> KeptMask:
    """Return what one of a query's expressions lets through, as `let_through` left it."""
    found: KeptMask = query.where[where]
    return found


def wants_categories(query: Query) -> bool:
    """Say whether a query asks for items of certain categories and no others, by whichever filter."""
    where = query.filters.where
    return bool(query.filters.categories) or (
        where is not None and asks_for(parse(where, "/filters/where"), "category", "categories")
    )


async def _kept(world: World, text: str, pointer: str) -> KeptMask:
    """Return an expression's mask from those kept; a new one is made in a thread, for it passes over the catalogue."""
    term, table = parse(text, pointer), world.table
    asked = by_name(term)
    # Learned ratings are the bundle's; everything else stays what it is when bundles change.
    key = ("where", canonical(term), world.models.version if ("rating",) in asked else None)
    await _read(world, asked, pointer)
    while key not in table.masks:
        _refuse_meaningless(world, asked, pointer)
        await table.passes.once(key, lambda: _make(world, term, key, asked, pointer))
        await _read(world, asked, pointer)
    return table.mask(key, lambda rows: mask_of(term, columns_of(world, asked), rows, table.size))


async def _read(world: World, asked: Mapping[Parts, list[Leaf]], pointer: str) -> None:
    """Have the columns of attributes, until whoever asked waits for something else: then they may be dropped."""
    own = [parts for parts in asked if parts[0] not in TABLE_FIELDS]
    if not await world.table.metadata.read(own, world.catalog, lambda: world.table.seq):
        raise InvalidInput.at(pointer, "asks for attributes that take more memory together than there is: ask for less")


async def _make(
    world: World, term: Term, key: tuple[object, ...], asked: Mapping[Parts, list[Leaf]], pointer: str
) -> None:
    table = world.table
    await _read(world, asked, pointer)
    columns = columns_of(world, asked, ahead=True)
    before, version = table.size, table.changes.version
    mask = await asyncio.to_thread(mask_of, term, columns, None, before)
    await _read(world, asked, pointer)
    changed = table.changes.since(version)
    if changed is None:
        table.mask(key, lambda rows: mask_of(term, columns_of(world, asked), rows, table.size))
        return
    # What changed while the thread was at it.
    stale = grown(changed, before, table.size)
    whole = np.concatenate([mask, np.zeros(table.size - before, np.bool_)])
    whole[stale] = mask_of(term, columns_of(world, asked), stale, table.size)
    table.mask(key, lambda rows: whole if rows is None else whole[rows])


def _refuse_meaningless(world: World, asked: Mapping[Parts, list[Leaf]], pointer: str) -> None:
    known: dict[Parts, Kinds] = {(name,): kinds for name, kinds in TABLE_FIELDS.items()}
    known |= world.table.metadata.known
    for leaf in (each for terms in asked.values() for each in terms):
        fault = check(leaf, known)
        if fault is None and world.table.metadata.is_too_large(leaf.name.parts):
            fault = f"`{leaf.name}` has too many different values to filter by"
        if fault is not None:
            raise InvalidInput.at(pointer, fault)

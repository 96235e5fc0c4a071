"""What an expression lets through is what plain Python says of each item, also after changes."""

import asyncio
import random
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.recommend.where.items import ALL_KINDS, any_item, any_term, holds

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.core.errors import InvalidInput, Overloaded
from kindred.core.item import Item
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items import attribute_column, attributes, passes
from kindred.recommend.where import passing
from kindred.recommend.where.passing import let_through
from kindred.recommend.where.terms import Term, canonical
from kindred.recommend.world import World


async def world_of(items: list[Item], table: ItemTable | None = None, catalog: MemoryCatalog | None = None) -> World:
    """Return what expressions read of a world: its catalogue and its table, the catalogue's ratings."""
    catalog, table = catalog or MemoryCatalog(), table or ItemTable()
    await catalog.upsert([Item(**{**_fields(item), "item_id": f"i{n}"}) for n, item in enumerate(items)], 1_000)
    table.apply(await catalog.changes_since(table.seq, 1_000))
    found = SimpleNamespace(
        table=table, catalog=catalog, ratings_of=lambda rows: table.rating[rows], models=SimpleNamespace(version="b1")
    )
    return cast(World, found)


def _fields(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__struct_fields__}


async def let(world: World, text: str) -> list[int]:
    (mask,) = (await let_through(world, {"/filters/where": text})).values()
    return mask.bits.ordinals().tolist()


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_an_expression_means_what_plain_python_says(seed: int) -> None:
    dice = random.Random(seed)
    before = [*(any_item(dice) for _ in range(30)), *ALL_KINDS]
    after = [any_item(dice) for _ in range(dice.randint(0, 40))]
    terms = [any_term(dice) for _ in range(20)]

    async def run() -> None:
        world = await world_of(before)
        for term in terms:
            assert await let(world, canonical(term)) == expected(before, term), canonical(term)
        # Replaced and added items count at once, in the columns that were made for the first answers.
        await world_of(after, world.table, cast(MemoryCatalog, world.catalog))
        now = [*after, *before[len(after) :]]
        for term in terms:
            assert await let(world, canonical(term)) == expected(now, term), canonical(term)

    asyncio.run(run())


def expected(items: list[Item], term: Term) -> list[int]:
    return [number for number, item in enumerate(items) if holds(item, term)]


SHOP = [
    Item(item_id="a", price=5, categories=["Drama"], created=1, attributes={"year": 1990, "brand": {"country": "DE"}}),
    Item(
        item_id="b",
        price=9.99,
        tags=["New"],
        creator="Ann",
        attributes={"year": 2001, "kinds": ["x", "y"], "sold": True},
    ),
]
REFUSED = [
    ("yeer > 1990", "at character 1: `yeer` is an unknown attribute; did you mean `year`?"),
    ("prize = 1", "did you mean `price`?"),
    ("brand = 'x'", "`brand` is an unknown attribute; did you mean `brand.country`?"),
    ("attributes.price = 'x'", "`attributes.price` is an unknown attribute; did you mean `price`?"),
    ('price > "a"', 'at character 1: `price` holds numbers: "a" (at character 9) is no number and no date'),
    ("price = 'a'", '`price` holds numbers: "a" (at character 9) is none'),
    ("price > 2020-01-01", "`price` holds numbers"),
    ("created > 5", "`created` holds dates: 5 (at character 11) is none"),
    ("created = 'soon'", '`created` holds dates: "soon"'),
    ("tags = 'New'", "`tags` holds lists: ask with `contains`"),
    ("year contains 'x'", "`year` holds numbers: only lists and texts contain something"),
    ("creator contains 5", "`creator` holds texts: 5 (at character 18) is no text"),
    ("sold > true", "`sold` holds true or false: true"),
    ("year in [1990, 'x']", '`year` holds numbers: "x" (at character 16) is none'),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
async def test_what_means_nothing_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await let(await world_of(SHOP), text)
    (fault,) = caught.value.faults
    assert fault.pointer == "/filters/where"
    assert said in fault.detail


async def test_what_is_let_through() -> None:
    world = await world_of(SHOP)
    found = {
        'metadata.brand.country = "de" and year < 2000': [0],
        "price = 9.99": [1],
        "price <= 9.99 and category != 'drama'": [1],
        "kinds contains 'X'": [1],
        "has kinds or has category": [0, 1],
        "sold = true or sold = false": [1],
        "brand.country = null": [1],
        "created >= '1970-01-01'": [0],
        "creator contains 'nn' and tags contains 'new'": [1],
    }
    assert {text: await let(world, text) for text in found} == found


async def test_one_reading_of_the_catalogue_serves_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await world_of(SHOP)
    going = asyncio.Event()
    reads = []
    changes_since = world.catalog.changes_since

    async def slow(seq: int, limit: int) -> Any:
        reads.append(seq)
        await going.wait()
        return await changes_since(seq, limit)

    monkeypatch.setattr(world.catalog, "changes_since", slow)
    monkeypatch.setattr(attributes, "WAIT", 0.01)
    for _ in range(2):
        with pytest.raises(Overloaded) as caught:
            await let(world, "year > 1995")
        assert "first time" in caught.value.detail
    assert reads == [0]
    # An expression over the table's own columns waits for nothing.
    assert await let(world, "price > 5") == [1]
    monkeypatch.setattr(attributes, "WAIT", 10)
    going.set()
    assert await let(world, "year > 1995") == [1]
    count = len(reads)
    assert await let(world, "year < 1995") == [0]
    assert len(reads) == count


async def test_a_change_while_the_catalogue_is_read_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await world_of(SHOP)
    changes_since = world.catalog.changes_since

    async def overtaken(seq: int, limit: int) -> Any:
        found = await changes_since(seq, limit)
        if not found and world.table.seq == seq == len(SHOP):
            # The table hears of a change before this answer, from before the change, is looked at.
            await world.catalog.upsert([Item(item_id="i0", attributes={"year": 2020, "kinds": ["x"]})], 2_000)
            world.table.apply(await changes_since(seq, limit))
        return found

    monkeypatch.setattr(world.catalog, "changes_since", overtaken)
    assert await let(world, "year > 2010") == [0]
    assert await let(world, "kinds contains 'x'") == [0, 1]


async def test_lists_are_found_before_and_after_they_are_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute_column, "_LOOSE", 2)
    items = [Item(item_id="", attributes={"kinds": [f"k{n % 3}"]}) for n in range(40)]
    world = await world_of(items)
    assert await let(world, "kinds contains 'k1'") == list(range(1, 40, 3))
    column = cast(attribute_column.Column, world.table.metadata.column(("attributes", "kinds")))
    for changed in (1, 4, 9, 9, 16):
        await world.catalog.upsert([Item(item_id=f"i{changed}", attributes={"kinds": ["k1"] * (changed % 2)})], changed)
        world.table.apply(await world.catalog.changes_since(world.table.seq, 10))
        assert not column.unsettled
        held = {
            item.ordinal
            for item in await world.catalog.changes_since(0, 100)
            if "k1" in item.item.attributes.get("kinds", ())
        }
        assert await let(world, "kinds contains 'k1'") == sorted(held)


async def test_columns_keep_within_their_budget() -> None:
    table = ItemTable()
    table.metadata = attributes.Attributes(budget=30_000)
    items = [Item(item_id="", attributes={"a": n, "b": n, "c": f"text {n}"}) for n in range(500)]
    world = await world_of(items, table)
    assert await let(world, "a < 2") == [0, 1]
    assert await let(world, "b < 2") == [0, 1]
    assert await let(world, "b < 2 and a > 0 and creator = null") == [1]
    with pytest.raises(InvalidInput) as caught:
        await let(world, "c = 'text 1'")
    assert "has too many different values to filter by" in caught.value.detail
    columns = [table.metadata.column(("attributes", name)) for name in "ab"]
    assert sum(column.nbytes for column in columns) <= 30_000


async def test_attributes_larger_together_than_the_budget_are_refused_and_not_read_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = ItemTable()
    table.metadata = attributes.Attributes(budget=12_000)
    world = await world_of([Item(item_id="", attributes={"a": n, "b": n}) for n in range(500)], table)
    reads = []
    changes_since = world.catalog.changes_since

    async def counted(seq: int, limit: int) -> Any:
        reads.append(seq)
        return await changes_since(seq, limit)

    monkeypatch.setattr(world.catalog, "changes_since", counted)
    for kept in ("a < 2", "b < 2", None):
        if kept is not None:
            assert await let(world, kept) == [0, 1]
        with pytest.raises(InvalidInput) as caught:
            await let(world, "a < 2 and b < 2")
        (fault,) = caught.value.faults
        assert fault.pointer == "/filters/where"
        assert "more memory together than there is" in fault.detail
    # Each alone still counts, and what cannot be is not tried again and again.
    assert await let(world, "a < 3") == [0, 1, 2]
    assert reads.count(0) <= 4


class Slow:
    """Masks of whole catalogues that wait in their threads until `go` lets one, or some, of them end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Semaphore(0)
        self.begun: list[Term] = []
        self._mask_of = passing.mask_of
        monkeypatch.setattr(passing, "mask_of", self._slowly)

    def _slowly(self, term: Term, columns: Any, rows: Any, size: int) -> Any:
        mask = self._mask_of(term, columns, rows, size)
        if threading.current_thread() is not threading.main_thread():
            self.begun.append(term)
            assert self.go.acquire(timeout=30)
        return mask

    async def begins(self, count: int) -> None:
        while len(self.begun) < count:
            await asyncio.sleep(0.001)


async def test_many_who_ask_the_same_new_expression_wait_for_one_pass_over_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await world_of([Item(item_id="", price=n) for n in range(120)])
    slow = Slow(monkeypatch)
    asked = [asyncio.create_task(let(world, "price > 117")) for _ in range(10)]
    await slow.begins(1)
    await world.catalog.upsert([Item(item_id="i0", price=500), Item(item_id="new", price=600)], 2_000)
    world.table.apply(await world.catalog.changes_since(world.table.seq, 10))
    slow.go.release(10)
    assert await asyncio.gather(*asked) == [[0, 118, 119, 120]] * 10
    assert len(slow.begun) == 1


async def test_two_passes_for_one_expression_with_a_change_between_them_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await world_of([Item(item_id="", price=n) for n in range(120)])
    slow = Slow(monkeypatch)

    async def always(key: object, run: Any) -> None:
        await run()

    monkeypatch.setattr(world.table.passes, "once", always)
    asked = [asyncio.create_task(let(world, "price > 117")) for _ in range(2)]
    await slow.begins(2)
    slow.go.release()
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    await world.catalog.upsert([Item(item_id="i0", price=500)], 2_000)
    world.table.apply(await world.catalog.changes_since(world.table.seq, 10))
    slow.go.release()
    assert sorted(await asyncio.gather(*asked)) == [[0, 118, 119], [118, 119]]


async def test_new_expressions_take_turns_and_who_waits_too_long_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await world_of([Item(item_id="", price=n) for n in range(120)])
    slow = Slow(monkeypatch)
    first = [asyncio.create_task(let(world, f"price > {n}")) for n in range(117, 117 + passes.MOST)]
    await slow.begins(passes.MOST)
    monkeypatch.setattr(passes, "WAIT", 0.01)
    with pytest.raises(Overloaded, match="first time"):
        await let(world, "price < 1")
    monkeypatch.setattr(passes, "WAIT", 30)
    late = asyncio.create_task(let(world, "price < 1"))
    await asyncio.sleep(0)
    assert len(slow.begun) == passes.MOST
    slow.go.release(10)
    assert [len(found) for found in await asyncio.gather(*first)] == [2, 1]
    assert await late == [0]

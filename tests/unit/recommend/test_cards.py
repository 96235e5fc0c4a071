"""Decoded items: kept, forgotten, bounded."""

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.core.item import Item
from kindred.recommend.cards import Cards


class Counted(MemoryCatalog):
    """A catalogue that counts what is read, and can be changed in the middle of a read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[int]] = []
        self.during = None

    async def by_ordinals(self, ordinals):
        self.reads.append(list(ordinals))
        found = await super().by_ordinals(ordinals)
        if self.during is not None:
            await self.during()
        return found


async def filled(count: int) -> Counted:
    catalog = Counted()
    await catalog.upsert([Item(item_id=f"i{n}", title=f"{n}") for n in range(count)], 1)
    return catalog


async def test_an_item_is_read_once_until_it_is_forgotten():
    catalog = await filled(3)
    cards = Cards(catalog)
    assert [card.item.title for card in await cards.in_order([2, 0, 2])] == ["2", "0", "2"]
    await cards.of([0, 1, 2])
    assert catalog.reads == [[2, 0], [1]]
    await catalog.upsert([Item(item_id="i0", title="new")], 2)
    cards.forget([0])
    assert (await cards.of([0]))[0].item.title == "new"


async def test_what_the_catalogue_does_not_know_is_left_out():
    cards = Cards(await filled(1))
    assert await cards.in_order([5]) == [None]


async def test_the_longest_unused_go_first():
    catalog = await filled(4)
    cards = Cards(catalog, kept=2)
    await cards.of([0])
    await cards.of([1])
    await cards.of([0])
    await cards.of([2])
    catalog.reads.clear()
    await cards.of([0, 2])
    assert catalog.reads == []
    await cards.of([1])
    assert catalog.reads == [[1]]


async def test_an_item_that_changes_while_it_is_read_is_not_kept():
    catalog = await filled(1)
    cards = Cards(catalog)

    async def change():
        catalog.during = None
        await catalog.upsert([Item(item_id="i0", title="new")], 2)
        cards.forget([0])

    catalog.during = change
    await cards.of([0])
    assert (await cards.of([0]))[0].item.title == "new"

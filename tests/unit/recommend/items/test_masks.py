"""Kept masks equal fresh ones after any sequence of catalogue changes, clock moves, settlings and restarts."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.bits import Bits
from kindred.core.item import CatalogItem, Item
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items.changes import Changes
from kindred.recommend.items.masks import MaskCache

NAMES = ["Drama", "drama", "Comedy"]
SIZE = 90
moments = st.none() | st.integers(0, 12)
items = st.builds(
    Item,
    item_id=st.just("i"),
    categories=st.lists(st.sampled_from(NAMES), max_size=2),
    tags=st.lists(st.sampled_from(["a", "B", "b"]), max_size=2),
    stock=st.none() | st.integers(0, 1),
    regions=st.lists(st.sampled_from(["DE", "fr"]), max_size=1),
    active=st.booleans(),
    available_from=moments,
    available_until=moments,
)
change = st.tuples(st.integers(0, SIZE - 1), st.booleans(), items)
steps = st.lists(
    st.tuples(st.just("change"), st.lists(change, min_size=1, max_size=3))
    | st.tuples(st.just("fill"), st.integers(0, 99))
    | st.tuples(st.just("clock"), st.integers(0, 14))
    | st.tuples(st.just("settle"), st.none())
    | st.tuples(st.just("restart"), st.none()),
    max_size=25,
)


def _fill(seed: int) -> list[tuple[int, bool, Item]]:
    """Return one plain item for most ordinals, so that single changes are few among many."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(SIZE)[:70]
    opens = rng.integers(0, 14, SIZE)
    return [(int(o), True, Item(item_id="i", categories=[NAMES[o % 3]], available_from=int(opens[o]))) for o in chosen]


def _reopened(table: ItemTable, folder: Path) -> ItemTable:
    table.save(folder)
    return ItemTable.open(folder)


def _masks(table: ItemTable, now: int) -> dict[str, Bits | None]:
    region = table.in_region("DE")
    parts = [table.available(now), table.in_categories(["drama"]), table.with_tags(["b"])]
    parts += [] if region is None else [region]
    return {
        "available": parts[0].bits,
        "category": parts[1].bits,
        "tags": parts[2].bits,
        "region": None if region is None else region.bits,
        "together": table.masks.together(parts).bits,
    }


@given(steps)
def test_kept_masks_equal_fresh_ones(drawn):
    table, feed, now = ItemTable(), [], 5
    for kind, value in drawn:
        if kind in ("change", "fill"):
            added = _fill(value) if kind == "fill" else value
            part = [
                CatalogItem(ordinal=o, seq=len(feed) + n, listed=li, item=i) for n, (o, li, i) in enumerate(added, 1)
            ]
            feed += part
            table.apply(part)
        elif kind == "clock":
            now = value
        elif kind == "settle":
            table.settle()
        else:
            with tempfile.TemporaryDirectory() as folder:
                table = _reopened(table, Path(folder))
        fresh = ItemTable()
        fresh.apply(feed)
        kept, wanted = _masks(table, now), _masks(fresh, now)
        assert (table.size, table.seq, table.newest) == (fresh.size, fresh.seq, fresh.newest)
        for name, bits in wanted.items():
            assert (kept[name] is None) == (bits is None), name
            if bits is not None:
                assert kept[name].mask().tolist() == bits.mask().tolist(), name
                assert kept[name].count == int(bits.mask().sum())


def test_a_mask_that_nothing_moves_stays_the_same_object():
    table = ItemTable.of(
        CatalogItem(ordinal=o, seq=o + 1, listed=True, item=Item(item_id=str(o), available_until=o or None))
        for o in range(100)
    )
    before = table.available(7)
    assert table.available(7) is before
    table.apply([CatalogItem(ordinal=50, seq=101, listed=True, item=Item(item_id="50", title="x", available_until=50))])
    assert table.available(7) is before
    assert table.available(8).bits.has(np.array([8, 9])).tolist() == [False, True]
    both = table.masks.together([table.available(8), table.everything()])
    assert table.masks.together([table.available(8), table.everything()]) is both
    assert table.masks.together([table.available(9), table.everything()]) is not both


def test_asking_for_another_time_leaves_the_mask_of_the_present_as_it_is():
    items = [Item(item_id=str(o), available_from=o) for o in range(5_000)]
    table = ItemTable.of([CatalogItem(ordinal=o, seq=o + 1, listed=True, item=each) for o, each in enumerate(items)])
    present = table.available(4_000)
    both = table.masks.together([present, table.everything()])
    for moment, live in ((4_990, False), (10, False), (10, True), (3_999, False)):
        assert table.available(moment, live).bits.count == moment + 1
        table.masks.together([table.available(moment, live), table.everything()])
        assert table.available(4_000) is present
        assert table.masks.together([table.available(4_000), table.everything()]) is both
    # A request that waited a little asks for a moment that was the present.
    assert table.available(3_900).key == present.key


def test_a_moment_before_1970_empties_nothing():
    items = [Item(item_id=str(o), available_from=5 if o == 3 else None) for o in range(100)]
    table = ItemTable.of([CatalogItem(ordinal=o, seq=o + 1, listed=True, item=each) for o, each in enumerate(items)])
    assert table.available(-5).bits.count == 99
    assert table.available(4).bits.count == 99
    assert table.available(5).bits.count == 100
    assert table.available(-5).bits.count == 99


def test_masks_take_no_more_than_their_room():
    changes = Changes()
    cache, made = MaskCache(changes, room=100), []

    def rows(number):
        def of(_):
            made.append(number)
            return np.ones(256, np.bool_)

        return of

    for number in (1, 2, 3, 1, 4, 1, 2):
        cache.of((number,), 256, rows(number))
    # Each takes 32 bytes, so three stay; 2 was used longest ago when the fourth came.
    assert made == [1, 2, 3, 4, 2]


def test_forgotten_changes_are_said_to_be():
    changes = Changes(remembered=3)
    changes.add(np.array([4, 1], np.int32))
    changes.add(np.array([2], np.int32))
    assert changes.since(0).tolist() == [1, 2, 4]
    assert changes.since(2).tolist() == []
    changes.add(np.array([1], np.int32))
    assert changes.since(0) is None
    assert changes.since(1).tolist() == [1, 2]

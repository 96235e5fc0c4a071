"""The item table, its postings, the content side and the trend board, each against a plain model of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.item import CatalogItem, Item
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items.postings import Postings
from kindred.recommend.side import ContentSide
from kindred.recommend.world import TrendBoard

NAMES = ["Drama", "drama", "COMEDY", "horror", ""]
names = st.lists(st.sampled_from(NAMES), max_size=3)
moments = st.none() | st.integers(0, 10)

items = st.builds(
    Item,
    item_id=st.just("i"),
    categories=names,
    tags=names,
    rating=st.none() | st.floats(0, 5),
    stock=st.none() | st.integers(-1, 2),
    regions=st.lists(st.sampled_from(["DE", "de", "FR"]), max_size=2),
    active=st.booleans(),
    available_from=moments,
    available_until=moments,
    created=moments,
    creator=st.none() | st.sampled_from(NAMES),
)
changes = st.lists(st.tuples(st.integers(0, 1100), st.booleans(), items), max_size=25)


def _key(category: str | None) -> str | None:
    return None if category is None else category.casefold()


def on_offer(change: CatalogItem, now: int) -> bool:
    item = change.item
    return (
        change.listed
        and item.active
        and (item.available_from or 0) <= now
        and (item.available_until is None or item.available_until > now)
        and (item.stock is None or item.stock > 0)
    )


@given(changes, st.integers(0, 10), st.sampled_from([None, "DE", "de", "fr", "XX"]))
def test_the_table_is_the_last_change_of_every_item(drawn, now, country):
    table, model = ItemTable(), {}
    feed = [CatalogItem(ordinal=o, seq=n + 1, listed=li, item=i, updated=n) for n, (o, li, i) in enumerate(drawn)]
    for change in feed:
        model[change.ordinal] = change
    table.apply(feed[: len(feed) // 2])
    table.apply(feed[len(feed) // 2 :])
    assert table.seq == len(feed)
    assert table.size == max(model, default=-1) + 1

    def ordinals(mask):
        assert len(mask.bits) == table.size
        return set(mask.bits.ordinals().tolist())

    assert ordinals(table.available(now)) == {o for o, c in model.items() if on_offer(c, now)}
    for name in NAMES:
        bearing = {o for o, c in model.items() if name.casefold() in {n.casefold() for n in c.item.categories}}
        assert ordinals(table.in_categories([name])) == bearing
        assert {o for o in model if table.categories.bears(o, name)} == bearing
        tagged = {o for o, c in model.items() if name.casefold() in {n.casefold() for n in c.item.tags}}
        assert ordinals(table.with_tags([name])) == tagged
    limited = {o for o, c in model.items() if c.item.regions}
    mask = table.in_region(country)
    if not limited:
        assert mask is None
    else:
        wanted = (country or "-").upper()
        open_to = {o for o in range(table.size) if o not in limited}
        assert ordinals(mask) == open_to | {o for o in limited if wanted in {r.upper() for r in model[o].item.regions}}
    for ordinal, change in model.items():
        category = table.category_of(ordinal)
        assert (category or "").casefold() == (change.item.category or "").casefold()
        assert (category is None) == (change.item.category is None)
        assert table.created[ordinal] == (change.item.created or 0)
        assert table.updated[ordinal] == change.updated
        rating = table.rating[ordinal]
        assert np.isnan(rating) if change.item.rating is None else rating == np.float32(change.item.rating)
        twins = [o for o, c in model.items() if _key(c.item.category) == _key(change.item.category)]
        assert len({int(table.primary[o]) for o in twins}) == 1
        twins = [o for o, c in model.items() if _key(c.item.creator) == _key(change.item.creator)]
        assert len({int(table.creator[o]) for o in twins}) == 1
        assert (table.creator[ordinal] < 0) == (change.item.creator is None)


@given(st.lists(st.tuples(st.integers(0, 5), names, st.booleans()), max_size=20))
def test_postings_forget_what_was_replaced(moves):
    postings, held = Postings(), {}
    for ordinal, new, settle in moves:
        postings.put([ordinal], [new])
        held[ordinal] = {n.casefold() for n in new}
        if settle:
            postings.settle(6)
    assert dict(zip(map(str.casefold, postings.names), postings.counts.tolist(), strict=True)) == {
        name: sum(name in new for new in held.values()) for name in map(str.casefold, postings.names)
    }
    for ordinal, new in held.items():
        assert {name for name in postings.names if postings.bears(ordinal, name)} == {
            name for name in postings.names if name.casefold() in new
        }
    bearing = sorted(o for o, new in held.items() if "drama" in new)
    assert postings.any_of(["DRAMA", "unheard of"], 6).nonzero()[0].tolist() == bearing
    assert postings.any_of(["drama"], 6, np.arange(6, dtype=np.int32)).nonzero()[0].tolist() == bearing
    assert not postings.any_of(["unheard of"], 6).any()


@given(st.lists(st.dictionaries(st.integers(0, 9), st.integers(-5, 5), max_size=4), max_size=8))
def test_the_side_holds_the_latest_vector(puts):
    side, model = ContentSide(2), {}
    for put in puts:
        ordinals = np.array(list(put), np.int32)
        side.put(ordinals, np.array([[v, v] for v in put.values()], np.float32).reshape(-1, 2))
        model |= put
    assert len(side) == len(model)
    items = np.array([9, 0, 4, 4, 7, 30], np.int32)
    vectors = np.full((6, 2), 99, np.float32)
    side.overlay(items, vectors)
    assert vectors[:, 1].tolist() == [model.get(i, 99) for i in items.tolist()]


@given(st.dictionaries(st.integers(0, 30), st.integers(1, 9), max_size=12), st.lists(st.integers(0, 40), max_size=12))
def test_trend_scores_are_looked_up_by_item(trending, asked):
    columns = np.array(list(trending), np.int32), np.array(list(trending.values()), np.float32)
    board = TrendBoard({"24h": columns})
    found = board.of("24h").score(np.array(asked, np.int32))
    assert found.tolist() == [trending.get(item, 0) for item in asked]
    assert board.of("1h").score(np.array(asked, np.int32)).tolist() == [0] * len(asked)


def test_a_request_keeps_the_list_it_started_with():
    board = TrendBoard({"24h": (np.array([3], np.int32), np.array([2], np.float32))})
    before = board.of("24h")
    board.replace({})
    assert before.score(np.array([3], np.int32)).tolist() == [2]
    assert len(board.of("24h").items) == 0

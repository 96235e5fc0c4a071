"""Lists that are kept between requests hold what a pass over the catalogue would find."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.bits import Bits
from kindred.core.candidates import Floats
from kindred.core.clock import DAY
from kindred.core.item import CatalogItem, Item
from kindred.recommend import newcomers
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items import popular
from kindred.recommend.items.masks import KeptMask
from kindred.recommend.items.popular import PopularLists
from kindred.recommend.newcomers import Newcomers

SIZE = 60
KNOWN = 40


@dataclass(eq=False)
class Scored:
    """What a popularity model says."""

    scores: Floats = field(default_factory=lambda: np.empty(0, np.float32))


@given(st.integers(0, 999), st.lists(st.lists(st.integers(0, SIZE + 8), max_size=8), max_size=8), st.integers(2, 30))
def test_popular_lists_follow_their_filter(seed, flips, kept):
    rng = np.random.default_rng(seed)
    model, lists = Scored(rng.integers(0, 5, SIZE).astype(np.float32)), PopularLists()
    mask = rng.random(SIZE + 9) < 0.5
    before, popular.KEPT = popular.KEPT, kept
    try:
        for flipped in [[], *flips]:
            mask[flipped] ^= True
            found = lists.best(model, KeptMask.fresh(("filter",), Bits.of(mask)))
            wanted = [o for o in np.lexsort((np.arange(SIZE), -model.scores)) if mask[o] and model.scores[o] > 0]
            # What went is filled up again only when half of the list is gone.
            assert found.tolist() == wanted[: len(found)]
            assert len(found) >= min(kept // 2, len(wanted))
    finally:
        popular.KEPT = before


def _item(created: int | None, title: str = "") -> Item:
    return Item(item_id="i", created=created, title=title)


changes = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.none() | st.integers(1, 60 * DAY), st.integers(1, 60 * DAY)), max_size=6
)


def test_a_request_for_another_time_leaves_the_list_of_newcomers_as_it_is(monkeypatch):
    table, passes = ItemTable(), []
    table.apply([CatalogItem(ordinal=o, seq=o + 1, listed=True, item=_item(o * DAY)) for o in range(100)])
    follower = Newcomers(table, 0, lambda rows: np.ones(len(rows), np.bool_))
    monkeypatch.setattr(newcomers, "POOL", 50)
    made, everything = follower._make, Bits.of(np.ones(100, np.bool_))
    monkeypatch.setattr(follower, "_make", lambda first: (passes.append(first), made(first)))
    present = 60 * DAY
    assert follower.allowed(everything, present, 99 * DAY, 2, present)[0].tolist() == [99, 98]
    for first, last, found in ((10 * DAY, 20 * DAY, []), (70 * DAY, 80 * DAY, [80, 79]), (200 * DAY, 300 * DAY, [])):
        assert follower.allowed(everything, first, last, 2, present)[0].tolist() == found
    assert follower.allowed(everything, present, 99 * DAY, 2, present)[0].tolist() == [99, 98]
    assert passes == [present]


@given(
    st.integers(0, 999),
    st.lists(st.tuples(changes, st.integers(30, 60), st.booleans()), max_size=8),
    st.sampled_from([8, SIZE]),
)
def test_newcomers_are_the_newest_with_few_users(seed, steps, short):
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 3, SIZE)
    table, seq = ItemTable(), 0
    follower = Newcomers(table, KNOWN, lambda rows: users[rows] < 2)
    first = [(o, int(rng.integers(1, 60 * DAY)) if o % 3 else None, int(rng.integers(1, 60 * DAY))) for o in range(50)]
    before, pool = newcomers.POOL, newcomers.POOL
    try:
        for moved, day, narrow in [(first, 45, False), *steps]:
            for ordinal, created, updated in moved:
                seq += 1
                table.apply([CatalogItem(ordinal=ordinal, seq=seq, listed=True, item=_item(created), updated=updated)])
            # By looking at the little that is allowed, and by the list that is kept, all of it or the newest.
            newcomers.POOL = pool if narrow else short
            mask = np.ones(table.size, np.bool_)
            mask[::7] = False
            allowed = Bits.of(mask) if narrow else Bits.of(np.concatenate([mask, np.ones(SIZE, np.bool_)]))
            start, now = (day - 30) * DAY, day * DAY
            items, times = follower.allowed(allowed, start, now, 10)
            times_of = np.where((np.arange(table.size) >= KNOWN) & (table.created == 0), table.updated, table.created)
            fits = (times_of >= start) & (times_of <= now) & (users[: table.size] < 2) & mask
            wanted = sorted(np.flatnonzero(fits).tolist(), key=lambda o: (-times_of[o], o))[:10]
            assert items.tolist() == (wanted if newcomers.POOL >= SIZE else wanted[: len(items)])
            assert times.tolist() == times_of[items].tolist()
    finally:
        newcomers.POOL = before

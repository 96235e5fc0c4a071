"""What trending is fed with."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.clock import DAY, HOUR
from kindred.core.position import Position
from kindred.features.activity import active_entries, activity
from kindred.features.changes import ItemAct
from kindred.features.groups import FoldConfig
from kindred.features.item_acts import Touched
from kindred.features.item_blocks import read_blocks
from kindred.features.item_countries import CountryRecord, fold_countries
from kindred.features.items import ItemRecord, fold_item
from kindred.features.trending_list import TrendingList, decode_trending, encode_trending

NOW = 1_700_000_000_000 // DAY * DAY + 12 * HOUR


def views(times):
    """Return views at times."""
    return [ItemAct(Position(0, 0, place), 1, "view", time) for place, time in enumerate(times)]


def active(times):
    """Return activity at times, as a record of an item gives it."""
    return active_entries(read_blocks([fold_item(ItemRecord(), views(times), FoldConfig()).cells]))[0]


def test_the_window_slides_over_hours():
    """At half past, the hour that leaves the window counts half."""
    found = activity([active([NOW + 60_000, NOW - 60_000, NOW - 60_000])], NOW + HOUR // 2, 1)
    assert found.current.tolist() == [2.0]
    assert found.baseline.tolist() == [1.0]


def test_the_baseline_is_what_stood_before_and_how_long_the_item_is_known():
    """Items of different ages have baselines of different lengths."""
    old = active([NOW - 10 * DAY, NOW - 3 * DAY, NOW])
    found = activity([old, active([NOW]), b""], NOW, 24)
    assert found.current.tolist() == [1.0, 1.0, 0.0]
    assert found.baseline.tolist() == [2.0, 0.0, 0.0]
    assert found.baseline_hours.tolist() == [10 * 24 + 12 + 1 - 24, 24, 24]


@given(st.lists(st.integers(0, 40 * 24), min_size=1, max_size=30))
def test_an_item_and_its_only_country_are_equally_active(hours):
    """The block of an item and the sparse record of a country keep the same hours and days."""
    times = [NOW - hour * HOUR for hour in hours]
    (country,) = fold_countries([Touched(CountryRecord(), views(times))], FoldConfig())
    assert active(times) == country.counters


def test_no_items_give_no_activity():
    """The empty board works."""
    assert len(activity([], NOW, 1).current) == 0


def test_a_trending_list_survives_its_codec():
    """Columns come back as they were."""
    items, scores = np.array([5, 2], np.int32), np.array([1.5, 1.0], np.float32)
    read = decode_trending(encode_trending(TrendingList.of(NOW, items, scores)))
    assert read.as_of == NOW
    assert [column.tolist() for column in read.columns()] == [[5, 2], [1.5, 1.0]]

"""What trending is fed with."""

import numpy as np

from kindred.core.clock import DAY, HOUR
from kindred.core.position import Position
from kindred.features.activity import activity
from kindred.features.changes import ItemAct
from kindred.features.groups import FoldConfig
from kindred.features.items import ItemRecord, fold_item
from kindred.features.trending_list import TrendingList, decode_trending, encode_trending

NOW = 1_700_000_000_000 // DAY * DAY + 12 * HOUR


def record(times):
    """Build a record of activity at times."""
    told = [ItemAct(Position(0, 0, place), 1, "view", time) for place, time in enumerate(times)]
    return fold_item(ItemRecord(), told, FoldConfig())


def test_the_window_slides_over_hours():
    """At half past, the hour that leaves the window counts half."""
    found = activity([record([NOW + 60_000, NOW - 60_000, NOW - 60_000])], NOW + HOUR // 2, 1)
    assert found.current.tolist() == [2.0]
    assert found.baseline.tolist() == [1.0]


def test_the_baseline_is_what_stood_before_and_how_long_the_item_is_known():
    """Items of different ages have baselines of different lengths."""
    old = record([NOW - 10 * DAY, NOW - 3 * DAY, NOW])
    found = activity([old, record([NOW]), ItemRecord()], NOW, 24)
    assert found.current.tolist() == [1.0, 1.0, 0.0]
    assert found.baseline.tolist() == [2.0, 0.0, 0.0]
    assert found.baseline_hours.tolist() == [10 * 24 + 12 + 1 - 24, 24, 24]


def test_no_items_give_no_activity():
    """The empty board works."""
    assert len(activity([], NOW, 1).current) == 0


def test_a_trending_list_survives_its_codec():
    """Columns come back as they were."""
    items, scores = np.array([5, 2], np.int32), np.array([1.5, 1.0], np.float32)
    read = decode_trending(encode_trending(TrendingList.of(NOW, items, scores)))
    assert read.as_of == NOW
    assert [column.tolist() for column in read.columns()] == [[5, 2], [1.5, 1.0]]

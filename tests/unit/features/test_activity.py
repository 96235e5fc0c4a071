"""What trending is fed with."""

import numpy as np
import pytest

from kindred.core.clock import DAY, HOUR
from kindred.features.activity import activity
from kindred.features.buckets import DAYS, HOURS, days_of, hours_of, merge_buckets, pack
from kindred.features.items import ItemRecord
from kindred.features.trending_list import TrendingList, decode_trending, encode_trending

NOW = 1_700_000_000_000 // DAY * DAY + 12 * HOUR


def record(times):
    """Build a record of activity at times."""
    once, at = np.ones(len(times), np.int64), np.array(times, np.int64)
    hours, days = merge_buckets(hours_of(at), once, HOURS), merge_buckets(days_of(at), once, DAYS)
    return ItemRecord({"view": len(times)}, 0, 0, *(pack(column) for pair in (hours, days) for column in pair))


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


@pytest.mark.parametrize("count", [2**31 - 1, 2**40])
def test_counts_saturate_instead_of_wrapping(count):
    """The packed column is 32 bits wide."""
    assert np.frombuffer(pack(np.array([count], np.int64)), "<i4").tolist() == [2**31 - 1]

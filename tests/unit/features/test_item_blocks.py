"""Counters at fixed places: every window equals a count of what is kept, whatever order it came in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.features.acts import cuts

from kindred.core.clock import DAY, HOUR
from kindred.core.errors import InvalidInput
from kindred.features.counters import Amounts
from kindred.features.item_blocks import (
    ACTIVE_HOURS,
    BLOCK,
    DAYS,
    FIVES,
    HEAD,
    HOURS,
    WEEK,
    Windows,
    add,
    kept_buckets,
    read_blocks,
    read_heads,
)
from kindred.features.item_counters import ITEM_COUNTERS, MONTHS, SUMS, VIEWS_H, WEEK_HOURS

RINGS = (FIVES, HOURS, WEEK, DAYS, ACTIVE_HOURS)
TIMED = [counter for ring in RINGS for counter in ring.counters]
ITEMS = 3
FIRST = 4_000

counted = st.lists(
    st.tuples(st.integers(0, ITEMS - 1), st.sampled_from(TIMED), st.integers(0, 250), st.integers(-2, 5)), max_size=60
)


def amounts(rows):
    """Return what is to be added."""
    columns = [(item, counter.first + FIRST + bucket, amount) for item, counter, bucket, amount in rows]
    return Amounts(*np.array(columns, np.int64).reshape(-1, 3).T)


def test_every_timed_counter_has_a_place():
    """Once in the rings, and all counters of a ring keep equally much."""
    assert sorted(counter.name for counter in TIMED) == sorted(
        counter.name for counter in ITEM_COUNTERS.counters if counter.width
    )
    for ring in RINGS:
        assert {(counter.width, counter.keep) for counter in ring.counters} == {(ring.counters[0].width, ring.buckets)}


@settings(max_examples=200)
@given(counted, st.lists(st.integers(0, 60), max_size=4), st.randoms(use_true_random=False), st.data())
def test_windows_equal_a_count_of_what_is_kept(rows, points, dice, data):
    """Kept is what is not further back than the newest bucket of that width allows; order and batches do not show."""
    blocks, shuffled = read_blocks([b""] * ITEMS), read_blocks([b""] * ITEMS)
    add(blocks, amounts(rows))
    for part in cuts(dice.sample(rows, len(rows)), points):
        add(shuffled, amounts(part))
    assert blocks.tobytes() == shuffled.tobytes()
    low = data.draw(st.integers(-10, 260))
    high = low + data.draw(st.integers(0, 260))
    for ring in RINGS:
        sums = Windows(blocks).between(ring, FIRST + low, FIRST + high).astype(np.int64)
        width = ring.counters[0].width
        for item in range(ITEMS):
            mine = [(counter, bucket, amount) for owner, counter, bucket, amount in rows if owner == item]
            newest = max((bucket for counter, bucket, _ in mine if counter.width == width), default=-FIRST)
            for row, counter in enumerate(ring.counters):
                kept = range(max(low, newest - ring.buckets + 1), high + 1)
                expected = sum(amount for other, bucket, amount in mine if other is counter and bucket in kept)
                span = 1 << 32 if ring.dtype == "<u4" else 1 << 64
                assert (int(sums[item, row]) - expected) % span == 0


def test_totals_are_by_code():
    """Equal codes add up; nothing is ever dropped."""
    blocks = read_blocks([b"", b""])
    rows = [
        (1, WEEK_HOURS, 167, 2),
        (1, WEEK_HOURS, 167, 1),
        (0, MONTHS, 0, 5),
        (1, SUMS, 3, 1 << 40),
        (1, SUMS, 3, -1),
    ]
    add(blocks, Amounts(*np.array([(item, c.first + code, n) for item, c, code, n in rows], np.int64).T))
    assert blocks["week_hours"][:, 167].tolist() == [0, 3]
    assert blocks["months"][:, 0].tolist() == [5, 0]
    assert blocks["sums"][:, 3].tolist() == [0, (1 << 40) - 1]


def test_what_is_taken_back_first_is_right_when_it_comes():
    """Sums pass below nothing and come back, also where they have 32 bits."""
    blocks = read_blocks([b""])
    add(blocks, amounts([(0, VIEWS_H, 5, -3)]))
    add(blocks, amounts([(0, VIEWS_H, 7, 1), (0, VIEWS_H, 5, 4)]))
    assert Windows(blocks).between(HOURS, FIRST, FIRST + 9)[0, 0] == 2


def test_an_item_that_fell_silent_has_empty_windows():
    """Windows behind the newest bucket are empty, and those before the oldest one kept."""
    now = 1_700_000_000_000
    blocks = read_blocks([b""])
    add(blocks, Amounts(*np.array([[0], [VIEWS_H.first + now // HOUR], [9]], np.int64)))
    found = [
        int(Windows(blocks).ending(HOURS, now + later, DAY)[0, 0]) for later in (0, DAY, DAY + HOUR, 90 * DAY, -9 * DAY)
    ]
    assert found == [9, 9, 0, 0, 0]


def test_a_head_is_the_front_of_a_block():
    """The same fields at the same places, aligned."""
    assert [BLOCK.fields[name] for name in HEAD.names] == [HEAD.fields[name] for name in HEAD.names]
    assert HEAD.itemsize % 8 == BLOCK.itemsize % 8 == 0
    blocks = read_blocks([b""] * 2)
    add(blocks, amounts([(1, VIEWS_H, 5, 3)]))
    heads = read_heads(b"".join(row.tobytes()[: HEAD.itemsize] for row in blocks))
    assert Windows(heads).between(HOURS, FIRST, FIRST + 9)[:, 0].tolist() == [0, 3]
    assert kept_buckets(heads, HOURS).counts.sum() == 3


def test_bytes_of_another_length_are_refused():
    """A damaged record is an error, not an empty item."""
    with pytest.raises(InvalidInput, match="cut short"):
        read_blocks([b"\0" * (BLOCK.itemsize - 1)])

"""The fold of an item: commutative, whatever users do in between, and each event once."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.features.acts import START_TIME, acts, cuts

from kindred.core.clock import DAY, HOUR
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.changes import ItemAct
from kindred.features.groups import FoldConfig
from kindred.features.item_blocks import ACTIVE_HOURS, BLOCK, DAYS, kept_buckets, read_blocks
from kindred.features.item_counters import RATING_COUNT, RATING_SUM
from kindred.features.items import ItemRecord, decode_item, encode_item, fold_item

CONFIG = FoldConfig()


def item_acts(all_acts):
    """Let every act concern item 3, as what users did is forwarded."""
    return [
        ItemAct(act.position, 3, act.event_type, act.timestamp, act.value, exposed=act.event_type == "impression")
        for act in all_acts
    ]


def fold_all(batches):
    """Fold batch after batch through the codec."""
    record = ItemRecord()
    for batch in batches:
        changed = fold_item(record, batch, CONFIG)
        if changed is not None:
            record = decode_item(encode_item(changed))
    return record


def counts(batches):
    """Return all that folding batch after batch counts."""
    record = fold_all(batches)
    return record.cells, record.types


def active(record, ring, row=0):
    """Return the activity in each bucket that has any."""
    kept = kept_buckets(read_blocks([record.cells]), ring)
    return {
        bucket: count
        for bucket, count in zip(kept.buckets[0].tolist(), kept.counts[0, row].tolist(), strict=True)
        if count
    }


@settings(max_examples=100, deadline=None)
@given(acts(duplicates=False), st.lists(st.integers(0, 30), max_size=5), st.randoms(use_true_random=False))
def test_any_cut_and_any_order_gives_the_same(all_acts, points, dice):
    """Order and batches do not show in the counters."""
    shuffled = all_acts.copy()
    dice.shuffle(shuffled)
    shuffled = [replace(act, position=Position(0, 0, place)) for place, act in enumerate(shuffled)]
    whole, parts = item_acts(all_acts), [item_acts(part) for part in cuts(all_acts, points)]
    assert counts([whole]) == counts(parts) == counts([item_acts(shuffled)])


@settings(max_examples=100, deadline=None)
@given(st.lists(acts(duplicates=False, most=12), min_size=2, max_size=4), st.integers(0, 10**6))
def test_partitions_interleave_in_any_way_and_zombies_repeat(partitions, seed):
    """Each partition's acts come in order; whoever repeats some of them from an older place on changes nothing."""
    sources = [
        [replace(act, position=Position(0, number, act.position.offset)) for act in each]
        for number, each in enumerate(partitions)
    ]
    expected = fold_all([item_acts([act for each in sources for act in each])])
    dice, places, told = random.Random(seed), [0] * len(sources), []
    while any(place < len(each) for place, each in zip(places, sources, strict=True)):
        number = dice.choice([n for n, each in enumerate(sources) if places[n] < len(each)])
        # A zombie goes back some steps and repeats what was told since.
        again = sources[number][max(0, places[number] - dice.randrange(4)) : places[number] + 1]
        told.append(item_acts(again))
        places[number] += 1
    assert fold_all(told) == expected


@settings(max_examples=50, deadline=None)
@given(acts(duplicates=False), st.integers(0, 30))
def test_replays_are_not_counted_again(all_acts, cut):
    """Acts whose source the record holds change nothing."""
    record = fold_all([item_acts(all_acts)])
    assert fold_item(record, item_acts(all_acts[:cut]), CONFIG) is None


def test_what_is_counted():
    """Counts by type, ratings in thousandths, buckets of loud events only."""
    at = START_TIME
    kinds = [("view", at, float("nan")), ("rating", at, 3.7), ("rating", at, float("nan"))]
    kinds += [("impression", at, float("nan")), ("view", at - HOUR, float("nan"))]
    told = [
        ItemAct(Position(0, 0, n), 3, kind, when, value, exposed=kind == "impression")
        for n, (kind, when, value) in enumerate(kinds)
    ]
    folded = fold_item(ItemRecord(), told, CONFIG)
    assert folded is not None
    assert {kind: folded.count(kind) for kind in ("view", "rating", "impression", "click")} == {
        "view": 2,
        "rating": 2,
        "impression": 1,
        "click": 0,
    }
    assert folded.interactions == 4
    sums = read_blocks([folded.cells])["sums"][0]
    assert (sums[RATING_SUM], sums[RATING_COUNT]) == (3700, 1)
    assert active(folded, ACTIVE_HOURS) == {at // HOUR - 1: 1, at // HOUR: 3}
    assert sum(active(folded, DAYS, 1).values()) == 4


def test_buckets_reach_back_only_so_far():
    """192 hours and some days up to the newest; totals for ever."""
    times = [START_TIME - 38 * DAY, START_TIME - 9 * DAY, START_TIME]
    record = fold_all([[ItemAct(Position(0, 0, n), 3, "view", t) for n, t in enumerate(times)]])
    assert active(record, ACTIVE_HOURS) == {START_TIME // HOUR: 1}
    assert active(record, DAYS, 1) == {(START_TIME - 9 * DAY) // DAY: 1, START_TIME // DAY: 1}
    assert record.count("view") == 3


def test_bytes_that_are_no_record_are_refused():
    """A damaged record is an error, not an empty item."""
    with pytest.raises(InvalidInput, match="not an item record"):
        decode_item(b"\x93\x01")
    with pytest.raises(InvalidInput, match="not an item record"):
        decode_item(encode_item(ItemRecord())[: BLOCK.itemsize])
    with pytest.raises(InvalidInput, match="cut short"):
        fold_item(ItemRecord(b"\x01" * 13), [ItemAct(Position(0, 0, 0), 3, "view", START_TIME)], CONFIG)

"""The fold of an item: commutative, whatever users do in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.features.acts import START_TIME, acts, cuts

from kindred.core.clock import DAY, HOUR
from kindred.core.errors import InvalidInput
from kindred.core.position import START, Position
from kindred.features.groups import Act, FoldConfig
from kindred.features.items import ItemRecord, decode_item, encode_item, fold_item, merge_items

CONFIG = FoldConfig()


def fold_all(batches):
    """Fold batch after batch through the codec."""
    record, folded = ItemRecord(), START
    for batch in batches:
        changed = fold_item(record, folded, batch, CONFIG)
        if changed is not None:
            record, folded = decode_item(encode_item(changed)), batch[-1].position
    return record


@settings(max_examples=100, deadline=None)
@given(acts(duplicates=False), st.lists(st.integers(0, 30), max_size=5), st.randoms(use_true_random=False))
def test_any_cut_and_any_interleaving_gives_the_same(all_acts, points, dice):
    """Order and batches do not show in the record."""
    shuffled = all_acts.copy()
    dice.shuffle(shuffled)
    shuffled = [act._replace(position=Position(0, 0, place)) for place, act in enumerate(shuffled)]
    assert fold_all([all_acts]) == fold_all(cuts(all_acts, points)) == fold_all([shuffled])


@settings(max_examples=50, deadline=None)
@given(acts(duplicates=False), st.integers(0, 30))
def test_replays_are_not_counted_again(all_acts, cut):
    """Acts at or before the record's position change nothing."""
    if not all_acts:
        return
    record = fold_all([all_acts])
    assert fold_item(record, all_acts[-1].position, all_acts[:cut], CONFIG) is None


@settings(max_examples=50, deadline=None)
@given(acts(duplicates=False), st.integers(0, 30))
def test_merging_is_adding(all_acts, cut):
    """Two halves folded apart and merged are the whole, in both orders."""
    left, right = fold_all([all_acts[:cut]]), fold_all([all_acts[cut:]])
    assert merge_items(left, right) == merge_items(right, left) == fold_all([all_acts])


def test_what_is_counted():
    """Counts by type, ratings in thousandths, buckets of loud events only."""
    at = START_TIME
    folded = fold_item(
        ItemRecord(),
        START,
        [
            Act(Position(0, 0, 0), 1, at, 3, "view", at, float("nan")),
            Act(Position(0, 0, 1), 2, at, 3, "rating", at, 3.7),
            Act(Position(0, 0, 2), 3, at, 3, "rating", at, float("nan")),
            Act(Position(0, 0, 3), 4, at, 3, "impression", at, float("nan")),
            Act(Position(0, 0, 4), 5, at, 3, "view", at - HOUR, float("nan")),
        ],
        CONFIG,
    )
    assert folded is not None
    assert folded.counts == {"view": 2, "rating": 2, "impression": 1}
    assert folded.interactions == 4
    assert (folded.rating_sum, folded.rating_count) == (3700, 1)
    assert [column.tolist() for column in folded.hourly()] == [[at // HOUR - 1, at // HOUR], [1, 3]]
    assert folded.daily()[1].sum() == 4


def test_buckets_reach_back_only_so_far():
    """192 hours and 32 days up to the newest."""
    times = [START_TIME - 40 * DAY, START_TIME - 9 * DAY, START_TIME]
    all_acts = [Act(Position(0, 0, n), n, t, 3, "view", t, float("nan")) for n, t in enumerate(times)]
    record = fold_all([all_acts])
    assert record.hourly()[0].tolist() == [START_TIME // HOUR]
    assert record.daily()[0].tolist() == [(START_TIME - 9 * DAY) // DAY, START_TIME // DAY]
    assert record.counts == {"view": 3}


def test_bytes_that_are_no_record_are_refused():
    """A damaged record is an error, not an empty item."""
    with pytest.raises(InvalidInput, match="not an item record"):
        decode_item(b"\x93\x01")

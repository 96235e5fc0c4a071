"""The fold of a user: the same for any cut into batches, any order within the lateness, any repetition."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.features.acts import SMALL, START_TIME, acts, cuts, meaning

from kindred.core.errors import InvalidInput
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.features.changes import Act, Erasure, ProfileChange, Shown
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows, merge_rows
from kindred.features.user_fold import fold_user
from kindred.features.users import UserRecord, decode_user, encode_user

NAN = float("nan")


def fold_all(batches, config=SMALL):
    """Fold batch after batch through the codec, as the consumer does."""
    record, folded, forward, stored = None, START, [], []
    for batch in batches:
        fold = fold_user("u", record, folded, batch, config)
        record = decode_user(encode_user(fold.record))
        folded = fold.position or folded
        forward += fold.forward
        stored += fold.stored
    return record, folded, forward, stored


@settings(max_examples=150, deadline=None)
@given(acts(), st.lists(st.integers(0, 30), max_size=6))
def test_any_cut_into_batches_gives_the_same(all_acts, points):
    """Batches are an accident: records, positions, forwards and history rows agree."""
    at_once = fold_all([all_acts])
    in_parts = fold_all(cuts(all_acts, points))
    assert meaning(at_once[0]) == meaning(in_parts[0])
    assert (at_once[0] or UserRecord()).recent() == (in_parts[0] or UserRecord()).recent()
    assert at_once[1:] == in_parts[1:]


@settings(max_examples=100, deadline=None)
@given(acts(), st.integers(0, 30))
def test_a_replay_changes_nothing(all_acts, cut):
    """Going back to an old commit leaves the record as it is and tells items nothing that they were not told."""
    record, folded, _, _ = fold_all([all_acts])
    again = fold_user("u", record, folded, all_acts[min(cut, len(all_acts)) :], SMALL)
    assert again.position is None
    assert again.stored == []
    assert again.record is record
    assert again.forward == again.outgoing == again.credits == []


@settings(max_examples=100, deadline=None)
@given(acts(duplicates=False, late=False), st.randoms(use_true_random=False))
def test_arrival_order_within_the_lateness_does_not_matter(all_acts, dice):
    """Events of one user in any order of arrival give the value that their times give."""
    last = START_TIME + 40_000
    aligned = [replace(act, arrival=last) for act in all_acts]
    shuffled = aligned.copy()
    dice.shuffle(shuffled)
    shuffled = [replace(act, position=Position(0, 0, place)) for place, act in enumerate(shuffled)]
    assert meaning(fold_all([aligned])[0]) == meaning(fold_all([shuffled])[0])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 4), st.sampled_from("ab"), st.just(NAN)), max_size=20))
def test_merging_rows_is_the_same_in_any_order(rows):
    """The newest rows of a union do not depend on how it was put together."""
    middle = len(rows) // 2
    left, right = HistoryRows.of(rows[:middle]), HistoryRows.of(rows[middle:])
    ways = [merge_rows(left, right, 7), merge_rows(right, left, 7), HistoryRows.of(rows).take(slice(0, 7))]
    said = [(w.items.tolist(), w.timestamps.tolist(), w.event_types()) for w in ways]
    assert said[0] == said[1] == said[2]
    assert said[0][1] == sorted(said[0][1], reverse=True)


def act(offset, event, item=1, kind="view", arrival=None, timestamp=None):
    """Build an act."""
    arrival = START_TIME + offset if arrival is None else arrival
    return Act(Position(0, 0, offset), event, arrival, item, kind, arrival if timestamp is None else timestamp, NAN)


def test_the_first_payload_of_an_event_id_wins():
    """A duplicate is neither folded nor forwarded, and leaves the version where it was."""
    fold = fold_user("u", None, START, [act(0, 7, item=1), act(1, 7, item=2)], FoldConfig())
    assert fold.record is not None
    assert fold.record.seen_items().tolist() == [1]
    assert fold.duplicates == 1
    assert fold.position == Position(0, 0, 0)
    assert [one.item for one in fold.forward] == [1]


def test_an_event_id_is_forgotten_after_a_day():
    """The same id a day and more later is another event."""
    later = START_TIME + 86_400_001
    fold = fold_user("u", None, START, [act(0, 7, arrival=START_TIME), act(1, 7, arrival=later)], FoldConfig())
    assert fold.duplicates == 0
    assert fold.record is not None
    assert fold.record.interactions == 2
    assert len(fold.record.recent().listed()) == 1


def test_only_so_many_event_ids_are_remembered():
    """The oldest id goes when there are too many."""
    fold = fold_user("u", None, START, [act(n, n) for n in range(10)], FoldConfig(recent_events=4))
    assert fold.record is not None
    assert list(fold.record.recent().listed()) == [6, 7, 8, 9]


def test_a_late_event_reaches_history_alone():
    """More than a day late: stored, counted, not folded."""
    late = act(0, 1, timestamp=START_TIME - 86_400_001)
    fold = fold_user("u", None, START, [late], FoldConfig())
    assert (fold.late, fold.stored, fold.forward) == (1, [late], [])
    assert fold.record is not None
    assert len(fold.record.rows()) == fold.record.interactions == 0


def test_the_caps_keep_the_newest_rows_and_the_youngest_items():
    """1,000 rows and the seen set are bounded, the total is not."""
    config = FoldConfig(history_rows=3, seen_items=4)
    fold = fold_user("u", None, START, [act(n, n, item=n) for n in random.Random(1).sample(range(10), 10)], config)
    assert fold.record is not None
    assert fold.record.rows().items.tolist() == [9, 8, 7]
    assert fold.record.seen_items().tolist() == [6, 7, 8, 9]
    assert fold.record.interactions == 10


def test_impressions_and_searches_leave_no_row():
    """They are remembered by id only."""
    shown = Shown(Position(0, 0, 0), 1, START_TIME, START_TIME, (1,))
    fold = fold_user("u", None, START, [shown, act(1, 2, item=-1, kind="search")], FoldConfig())
    assert fold.record is not None
    assert fold.record.interactions == 0
    assert fold.record.seen == b""
    assert [(one.item, one.exposed) for one in fold.forward] == [(1, True)]


def test_erasure_forgets_what_stood_before_and_nothing_after():
    """Profile, rows and ids go; a later event starts anew; a replay of older events is a no-op."""
    changes = [
        act(0, 1, item=1),
        ProfileChange(Position(0, 0, 1), Profile(user_id="u", country="DE")),
        Erasure(Position(0, 0, 2)),
        act(3, 1, item=5),
    ]
    forgotten = fold_user("u", None, START, changes[:3], FoldConfig())
    assert forgotten.record is None
    assert forgotten.position == forgotten.erased == Position(0, 0, 2)
    assert forgotten.stored == []
    assert encode_user(forgotten.record) == b""
    after = fold_user("u", forgotten.record, Position(0, 0, 2), changes, FoldConfig())
    assert after.record is not None
    assert after.record.seen_items().tolist() == [5]
    assert after.record.profile is None
    assert [one.item for one in after.stored] == [5]


def test_a_profile_is_kept_through_interactions():
    """The last profile stands in the record."""
    changes = [ProfileChange(Position(0, 0, n), Profile(user_id="u", country=c)) for n, c in enumerate(["DE", "FR"])]
    fold = fold_user("u", None, START, [*changes, act(2, 1)], FoldConfig())
    assert fold.record is not None
    assert fold.record.profile == Profile(user_id="u", country="FR")


def test_bytes_that_are_no_record_are_refused():
    """A damaged record is an error, not an empty user."""
    with pytest.raises(InvalidInput, match="not a user record"):
        decode_user(b"\x93\x01")
    assert decode_user(b"") is None

"""Splits partition the log, hold out what they say, and never train on the future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput
from kindred.evaluation.splits import global_time, leave_one_out, per_user_temporal, rolling_origins

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 30)), min_size=30, max_size=120)


def columns(rows):
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    return users, items, times


@given(ROWS, st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_per_user_split_partitions_and_keeps_time_order(rows, share):
    users, items, times = columns(rows)
    split = per_user_temporal(users, items, times, share=share)
    assert np.array_equal(split.train, ~split.test)
    assert split.cut is None
    for user in np.unique(users):
        mine = users == user
        held_out = int(split.test[mine].sum())
        if mine.sum() < 5:
            assert held_out == 0
            continue
        assert held_out == max(1, int(share * mine.sum() + 1e-9))
        assert times[mine & split.train].max() <= times[mine & split.test].min()


@given(ROWS)
def test_equal_times_keep_row_order(rows):
    users, items, _ = columns(rows)
    split = per_user_temporal(users, items, np.zeros(len(users), dtype=np.int64))
    for user in np.unique(users):
        mine = np.flatnonzero(users == user)
        held_out = int(split.test[mine].sum())
        assert split.test[mine].tolist() == [False] * (len(mine) - held_out) + [True] * held_out


def test_per_user_split_of_a_known_log():
    users = np.array([7, 7, 7, 7, 7, 3, 3])
    split = per_user_temporal(users, np.arange(7), np.array([50, 10, 90, 20, 30, 1, 2]))
    assert np.flatnonzero(split.test).tolist() == [2]


def test_a_share_near_one_leaves_a_train_row():
    split = per_user_temporal(np.zeros(5, int), np.arange(5), np.arange(5), share=1 - 1e-12)
    assert np.flatnonzero(split.train).tolist() == [0]


@given(ROWS)
def test_leave_one_out_holds_out_the_last_row_of_each_user(rows):
    users, items, times = columns(rows)
    split = leave_one_out(users, items, times)
    assert np.array_equal(split.train, ~split.test)
    for user in np.unique(users):
        mine = np.flatnonzero(users == user)
        expected = [] if len(mine) < 2 else [max(mine, key=lambda row: (times[row], row))]
        assert mine[split.test[mine]].tolist() == expected


@given(ROWS, st.sampled_from([0.3, 0.5, 0.8]))
def test_global_split_never_trains_on_the_future(rows, quantile):
    users, items, times = columns(rows)
    try:
        split = global_time(users, items, times, quantile=quantile)
    except InvalidInput:
        # Only a log whose first `quantile` share is one single moment has no train side.
        assert np.sort(times)[int(quantile * len(times))] == times.min()
        return
    assert np.array_equal(split.train, ~split.test)
    assert times[split.train].max() < split.cut <= times[split.test].min()
    assert split.train.sum() <= quantile * len(times)


def test_global_split_at_a_cut_tests_the_cut_itself():
    split = global_time([0, 0, 1], [1, 2, 3], [10, 20, 30], cut=20)
    assert split.train.tolist() == [True, False, False]
    assert split.cut == 20


@given(st.integers(3, 6), st.integers(1, 5))
def test_rolling_origins_are_adjacent_windows_up_to_the_last_row(n, horizon):
    times = np.arange(60)
    splits = rolling_origins(np.zeros(60, int), times, times, horizon=horizon, origins=n)
    assert len(splits) == n
    tested = np.concatenate([np.flatnonzero(split.test) for split in splits])
    assert tested.tolist() == list(range(60 - n * horizon, 60))
    for split in splits:
        assert np.array_equal(split.train, times < split.cut)
        assert not (split.train & split.test).any()


def test_rolling_origins_at_given_cuts_stop_at_the_horizon():
    times = np.arange(10)
    splits = rolling_origins(np.zeros(10, int), times, times, horizon=2, cuts=[2, 5, 7])
    assert [np.flatnonzero(split.test).tolist() for split in splits] == [[2, 3], [5, 6], [7, 8]]


LOG = (np.zeros(6, int), np.arange(6), np.arange(6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: per_user_temporal([0, 1], [0, 0], [1, 2]), "no user has 5 rows"),
        (lambda: per_user_temporal(*LOG, share=1.0), "share: is 1.0"),
        (lambda: per_user_temporal([0, 1], [0], [1, 2]), "lengths differ"),
        (lambda: per_user_temporal([0.5, 1.0], [0, 0], [1, 2]), "users: is float64"),
        (lambda: per_user_temporal([], [], []), "rows: is 0"),
        (lambda: leave_one_out([0, 1], [0, 0], [1, 2]), "no user has 2 rows"),
        (lambda: leave_one_out([0, -1], [0, 0], [1, 2]), "users: holds -1"),
        (lambda: global_time(*LOG), "exactly one"),
        (lambda: global_time(*LOG, cut=3, quantile=0.5), "exactly one"),
        (lambda: global_time(*LOG, cut=0), "the train side is empty at cut 0"),
        (lambda: global_time(*LOG, cut=99), "the test side is empty at cut 99"),
        (lambda: rolling_origins(*LOG, horizon=1, origins=2), "origins: is 2"),
        (lambda: rolling_origins(*LOG, horizon=0), "horizon: is 0"),
        (lambda: rolling_origins(*LOG, horizon=2), "the train side is empty at cut 0"),
        (lambda: rolling_origins(*LOG, horizon=1, cuts=[1, 2]), "cuts: is 2"),
        (lambda: rolling_origins(*LOG, horizon=1, cuts=[3, 2, 4]), "increasing"),
    ],
)
def test_an_impossible_split_says_why(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()

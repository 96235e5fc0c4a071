"""Bootstrap intervals: exact where they must be, and covering the truth as often as they claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.config import decode
from kindred.core.errors import ConfigError, InvalidInput
from kindred.evaluation import intervals
from kindred.evaluation.intervals import Bootstrap, mean_interval, mean_intervals, paired_difference

VALUES = st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=1, max_size=30)


@given(VALUES)
def test_identical_systems_differ_by_exactly_zero(values):
    found = paired_difference(values, values)
    defined = [value for value in values if not math.isnan(value)]
    assert found.users == len(defined)
    expected = [0.0] * 3 if defined else [math.nan] * 3
    assert [found.mean, found.low, found.high] == pytest.approx(expected, abs=0, nan_ok=True)
    assert not found.excludes_zero


@given(VALUES)
def test_the_interval_lies_within_the_values_and_around_their_mean(values):
    defined = [value for value in values if not math.isnan(value)]
    found = mean_interval(values)
    if not defined:
        assert found.users == 0
        assert math.isnan(found.mean)
        return
    assert found.mean == pytest.approx(np.mean(defined))
    assert min(defined) - 1e-9 <= found.low <= found.high <= max(defined) + 1e-9


def test_a_95_percent_interval_covers_the_true_mean_about_95_times_in_100():
    draws = np.random.default_rng(11).exponential(1.0, size=(200, 300))
    covered = sum(found.low <= 1.0 <= found.high for found in mean_intervals(draws))
    # 300 independent samples of 200 users: within four standard errors (0.0126) of 0.95, less the skew's 0.01.
    assert 0.89 <= covered / 300 <= 1.0
    wide = mean_intervals(draws, bootstrap=Bootstrap(level=0.5))
    assert 0.38 <= sum(found.low <= 1.0 <= found.high for found in wide) / 300 <= 0.62


def test_the_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(5).normal(3.0, 2.0, size=2_000)
    found = mean_interval(values)
    half = 1.96 * values.std() / math.sqrt(2_000)
    assert found.low == pytest.approx(found.mean - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.mean + half, abs=0.1 * half)


def test_pairing_removes_what_users_share():
    generator = np.random.default_rng(8)
    shared = generator.normal(size=400) * 10
    better, worse = shared + 0.5 + 0.1 * generator.normal(size=400), shared
    found = paired_difference(better, worse)
    assert found.excludes_zero
    assert found.mean == pytest.approx(0.5, abs=0.05)
    alone = mean_interval(better)
    assert found.high - found.low < 0.1 * (alone.high - alone.low)


def test_swapping_the_systems_mirrors_the_interval():
    generator = np.random.default_rng(9)
    left, right = generator.random(60), generator.random(60)
    there, back = paired_difference(left, right), paired_difference(right, left)
    assert [back.mean, back.low, back.high] == pytest.approx([-there.mean, -there.high, -there.low])


def test_a_user_of_several_rows_is_drawn_as_one():
    generator = np.random.default_rng(2)
    per_user = generator.normal(size=50)
    repeated = np.repeat(per_user, 4)
    owners = np.repeat(np.arange(50), 4)
    shuffled = generator.permutation(200)
    clustered = mean_interval(repeated[shuffled], users=owners[shuffled])
    single = mean_interval(per_user)
    assert clustered.users == 50
    assert [clustered.mean, clustered.low, clustered.high] == pytest.approx([single.mean, single.low, single.high])
    naive = mean_interval(repeated)
    assert naive.high - naive.low < 0.6 * (clustered.high - clustered.low)


def test_the_seed_decides_and_the_block_size_does_not(monkeypatch):
    values = np.random.default_rng(4).random((37, 3))
    found = mean_intervals(values)
    assert mean_intervals(values) == found
    assert mean_intervals(values, bootstrap=Bootstrap(seed=1)) != found
    monkeypatch.setattr(intervals, "_BLOCK_CELLS", 100)
    for blocked, whole in zip(mean_intervals(values), found, strict=True):
        assert [blocked.low, blocked.high] == pytest.approx([whole.low, whole.high], rel=1e-12)


def test_the_settings_decode_from_a_table_and_refuse_an_unknown_key():
    assert decode(Bootstrap, {"resamples": 5_000}, "evaluation").resamples == 5_000
    with pytest.raises(ConfigError, match="resamples"):
        decode(Bootstrap, {"resample": 5_000}, "evaluation")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([]), "at least one user"),
        (lambda: mean_interval([[1.0]]), "values: has 2 dimensions"),
        (lambda: mean_interval([math.inf]), "infinite"),
        (lambda: mean_interval([1.0], bootstrap=Bootstrap(resamples=100)), "resamples: is 100"),
        (lambda: mean_interval([1.0], bootstrap=Bootstrap(level=95)), "level: is 95"),
        (lambda: mean_interval([1.0], users=[1, 2]), "lengths differ"),
        (lambda: paired_difference([1.0], [1.0, 2.0]), "lengths differ"),
    ],
)
def test_malformed_values_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()

"""Each check of the light gate passes what is sound and refuses what is not, by name and figure."""

import numpy as np
import pytest

from kindred.training.config import IncrementConfig
from kindred.training.increment.changes import Change
from kindred.training.increment.fresh import Fresh
from kindred.training.increment.gate import IncrementRefused, finite_check, norm_checks, share_check
from kindred.training.increment.run import passed

BEFORE = np.array([[1, 0], [0, 2], [0, 0], [3, 0]], np.float32)


def factors(rows: list[int], values: list[list[float]]) -> Change:
    return Change("als", "item_factors", np.array(rows, np.int32), np.array(values, np.float32))


@pytest.mark.parametrize(
    ("place", "value", "bad"),
    [("als", np.nan, 1), ("als", np.inf, 1), ("ratings", np.nan, 0), ("ratings", -np.inf, 1), ("als", 1e30, 0)],
)
def test_values_must_be_finite_but_an_average_may_be_missing(place: str, value: float, bad: int) -> None:
    change = Change(place, "x", np.zeros(1, np.int32), np.array([value], np.float32))
    check = finite_check([factors([0], [[1, 1]]), change])
    assert (check.value, check.passed) == (bad, not bad)


@pytest.mark.parametrize(
    ("values", "median", "longest"),
    [
        ([[1.2, 0], [0, 2.6]], 0.25, -0.13333),
        ([[2, 0], [0, 4]], 1.0, 0.33333),
        ([[0.1, 0], [0, 0.2]], 0.9, -0.93333),
        ([[1, 0], [0, 6]], 1.0, 1.0),
    ],
)
def test_lengths_are_compared_with_those_before(values: list[list[float]], median: float, longest: float) -> None:
    drift, longer = norm_checks(BEFORE, factors([0, 1], values), IncrementConfig())
    assert (round(drift.value, 5), round(longer.value, 5)) == (median, longest)
    assert (drift.passed, longer.passed) == (median <= 0.5, longest <= 0.5)


def test_new_and_vanishing_items_do_not_count_as_drift_but_a_new_one_may_not_be_too_long() -> None:
    drift, longer = norm_checks(BEFORE, factors([0, 2, 4], [[0, 0], [1, 1], [0, 9]]), IncrementConfig())
    assert drift.value == 0
    assert not longer.passed
    with pytest.raises(IncrementRefused, match=r"bundle v1 stays: a factor is 200\.0% longer than the longest"):
        passed([drift, longer], "v1")


def test_a_share_is_too_large_from_the_limit_on() -> None:
    nothing = np.zeros(0, np.bool_)
    for share, refused in ((0.0099, False), (0.01, False), (0.0101, True)):
        fresh = Fresh(nothing, nothing, nothing, np.zeros(0, np.int32), share, share)
        assert share_check(fresh, IncrementConfig()).passed is not refused

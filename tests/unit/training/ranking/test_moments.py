"""Past requests and what came of them."""

from dataclasses import replace

import numpy as np

from kindred.models.preference import Interactions
from kindred.training.config import RelevanceConfig
from kindred.training.ranking.moments import Outcomes, moments_of, visits

MINUTE = 60_000


def rows(*told: tuple[int, int, int, str, float]) -> Interactions:
    """Return rows of (user, item, minute, event type, value)."""
    names = ("click", "purchase", "rating", "search")
    return Interactions(
        np.array([one[0] for one in told], np.int32),
        np.array([one[1] for one in told], np.int32),
        np.array([one[2] * MINUTE for one in told], np.int64),
        np.array([names.index(one[3]) for one in told], np.int16),
        np.array([one[4] for one in told], np.float32),
        names,
    )


TOLD = rows(
    (0, 1, 10, "click", np.nan),
    (0, 2, 30, "purchase", 5.0),
    (0, 3, 200, "rating", 5.0),
    (0, 4, 205, "rating", 2.0),
    (2, 1, 50, "purchase", 1.0),
)


def test_visits_end_with_half_an_hour_of_silence():
    users, begins, numbers, first = visits(TOLD, 1_800)
    assert users.tolist() == [0, 0, 2]
    assert (begins // MINUTE).tolist() == [10, 200, 50]
    assert numbers.tolist() == [0, 1, 0]
    assert first.tolist() == [0, 2, 4]


def test_one_asks_right_before_the_visit():
    first, second = (moments_of(TOLD, 1_800, number, 100, 1) for number in (0, 1))
    assert first.users.tolist() == [0, 2]
    assert first.times.tolist() == [10 * MINUTE - 1, 50 * MINUTE - 1]
    assert second.users.tolist() == [0]
    assert second.rows.tolist() == [2]
    assert len(moments_of(TOLD, 1_800, 0, 1, 1).users) == 1


def test_outcomes_are_those_of_the_horizon_by_type():
    outcomes = Outcomes(TOLD, RelevanceConfig(), {"click": 1.0, "purchase": 5.0, "rating": 4.0})
    assert outcomes.events == ("click", "purchase", "rating")
    items = np.array([1, 2, 3, 4, 9], np.int32)
    labels, _, relevant, wanted = outcomes.after(0, 10 * MINUTE - 1, 500 * MINUTE, items)
    assert labels.tolist() == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
        # A bad rating is nothing to bring about.
        [False, False, False],
        [False, False, False],
    ]
    assert relevant.tolist() == [False, True, True, False, False]
    assert wanted.tolist() == [2, 3]
    labels, _, relevant, wanted = outcomes.after(0, 10 * MINUTE, 60 * MINUTE, items)
    assert labels.sum() == relevant.sum() == 1
    assert wanted.tolist() == [2]


def test_types_without_a_value_are_no_labels():
    assert Outcomes(TOLD, RelevanceConfig(), {"purchase": 5.0}).events == ("purchase",)
    labels, _, _, wanted = Outcomes(TOLD, RelevanceConfig(), {}).after(0, 0, 10**9, np.array([2], np.int32))
    assert labels.shape == (1, 0)
    assert wanted.tolist() == [2, 3]


def test_what_was_found_far_down_counts_more():
    """The inverse of how likely its slot is looked at; a slot that is not known counts one, one beyond all the last."""
    slots = np.array([1, 7, -1, 0, 2], np.int16)
    outcomes = Outcomes(
        replace(TOLD, slots=slots), RelevanceConfig(), {"click": 1.0, "purchase": 5.0, "rating": 4.0},
        np.array([1.0, 0.5, 0.25], np.float32),
    )  # fmt: skip
    found = outcomes.after(0, 0, 500 * MINUTE, np.array([1, 2, 3, 4, 9], np.int32))
    assert found.weights.tolist() == [2.0, 4.0, 1.0, 1.0, 1.0]
    untold = Outcomes(TOLD, RelevanceConfig(), {"click": 1.0}, np.array([1.0, 0.5], np.float32))
    assert untold.after(0, 0, 500 * MINUTE, np.array([1, 2], np.int32)).weights.tolist() == [1.0, 1.0]

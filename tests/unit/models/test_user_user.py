"""User-user neighbourhoods."""

import numpy as np
import pytest

from kindred.models.user_user import Histories, nearest_users

ITEMS = np.array([5, 1, 9], np.int32)
VALUES = np.array([1.0, 2.0, -1.0], np.float32)


def histories(*people: dict[int, float]) -> Histories:
    return Histories(
        np.array([item for one in people for item in one], np.int32),
        np.array([value for one in people for value in one.values()], np.float32),
        np.repeat(np.arange(len(people)), [len(one) for one in people]),
        len(people),
    )


def test_equals_the_formula() -> None:
    others = histories({1: 2.0, 5: 1.0, 9: -1.0}, {1: 1.0, 7: 3.0}, {9: -2.0}, {2: 1.0})
    rows, similarities, common = nearest_users(ITEMS, VALUES, others, 10, shrinkage=2.0)
    assert rows.tolist() == [0, 2, 1]
    assert common.tolist() == [3, 1, 1]
    mine = np.linalg.norm(VALUES)
    expected = [1.0 * 3 / 5, 2.0 / (mine * 2) / 3, 2.0 / (mine * np.sqrt(10)) / 3]
    np.testing.assert_allclose(similarities, expected, rtol=1e-5)


def test_a_dislike_of_what_one_likes_is_no_likeness() -> None:
    rows, _, _ = nearest_users(ITEMS, VALUES, histories({1: -1.0}, {9: 1.0}, {1: 1.0, 9: 3.0}), 10, 1.0)
    assert not len(rows)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_count_bounds_and_ties_go_to_the_first(count: int) -> None:
    rows, similarities, _ = nearest_users(ITEMS, VALUES, histories({1: 1.0}, {1: 5.0}, {1: 2.0}), count, 1.0)
    assert rows.tolist() == [0, 1, 2][:count]
    assert len(similarities) == len(rows)


def test_nobody_and_nothing() -> None:
    assert not len(nearest_users(ITEMS, VALUES, histories(), 5, 1.0)[0])
    assert not len(nearest_users(ITEMS[:0], VALUES[:0], histories({1: 1.0}, {}), 5, 0.0)[0])

"""Estimates from logs: a known policy's value comes back from slates that another policy drew."""

import numpy as np
import pytest
from tests.unit.recommend.slates import query, ranked, world

from kindred.core.errors import InvalidInput
from kindred.evaluation.intervals import ratio_interval
from kindred.evaluation.off_policy import effective_size, ips, slate_weights, snips
from kindred.recommend.rerankers.exploration import Exploration

N, SLOTS, POOL = 8, 3, (3, 5, 6, 7)
APPEAL = np.array([0.1, 0.5, 0.2, 0.6, 0.1, 0.8, 0.05, 0.3])
LOGGED, JUDGED = 0.6, 0.15


def chance(epsilon, prefix, row):
    """Return p(row | prefix) of drawing with ε: the definition, written anew."""
    left = [one for one in range(N) if one not in prefix]
    pool = [one for one in left if one in POOL]
    return (1 - epsilon) * (row == left[0]) + (epsilon / len(pool) if row in pool else 0.0)


def value(epsilon):
    """Return the expected reward per slot, by walking all slates."""

    def walk(prefix, p):
        if len(prefix) == SLOTS or p == 0:
            return 0.0
        total = 0.0
        for row in set(range(N)) - set(prefix):
            q = p * chance(epsilon, prefix, row)
            total += q * APPEAL[row] * (1 if len(prefix) < 2 else 0.5) + walk((*prefix, row), q)
        return total

    return walk((), 1.0) / SLOTS


def logs(slates, seed=0):
    """Return rewards, logged propensities and those of the judged policy, of slates that Exploration made."""
    made, found, rng = world([-1] * N), ranked(N, POOL), np.random.default_rng(seed)
    rewards, logged, judged = (np.empty((slates, SLOTS)) for _ in range(3))
    for number in range(slates):
        order = Exploration(made).order(query(SLOTS, seed + number, exploration=LOGGED), found)
        rows = order.index.tolist()
        logged[number] = order.propensity
        judged[number] = [chance(JUDGED, rows[:slot], row) for slot, row in enumerate(rows)]
        rewards[number] = rng.random(SLOTS) < APPEAL[rows] * [1, 1, 0.5]
    return rewards, logged, judged


def test_the_value_of_a_known_policy_comes_back():
    rewards, logged, judged = logs(6_000)
    weights = slate_weights(logged, judged)
    truth = value(JUDGED)
    assert abs(value(LOGGED) - truth) > 0.02
    for estimate in (ips(rewards, weights), snips(rewards, weights)):
        assert estimate.low < truth < estimate.high
        assert estimate.mean == pytest.approx(truth, abs=0.02)
        assert not estimate.low < value(LOGGED) < estimate.high
    same = ips(rewards, slate_weights(logged, logged))
    assert same.mean == pytest.approx(rewards.mean())
    assert same.low < value(LOGGED) < same.high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = value(JUDGED)
    inside = 0
    for run in range(25):
        rewards, logged, judged = logs(300, seed=1_000 * (run + 1))
        found = snips(rewards, slate_weights(logged, judged))
        inside += found.low < truth < found.high
    assert inside >= 21


def test_weights_are_products_up_to_the_slot_and_pinned_or_empty_slots_have_none():
    logged, judged = [[0.5, 1.0, 0.25], [0.5, 0.5, np.nan]], [[0.25, 1.0, 0.5], [1.0, 0.0, np.nan]]
    weights = slate_weights(logged, judged, pinned=[[False, True, False], [False, False, False]])
    assert np.array_equal(weights, [[0.5, np.nan, 1.0], [2.0, 0.0, np.nan]], equal_nan=True)
    assert ips([[1, 9, 1], [1, 1, 9]], weights).mean == pytest.approx((0.5 + 1 + 2) / 4)
    assert snips([[1, 9, 0], [1, 1, 9]], weights).mean == pytest.approx(2.5 / 3.5)
    assert effective_size(weights) == pytest.approx(3.5**2 / (0.25 + 1 + 4))
    assert effective_size([[np.nan]]) == 0.0


def test_users_are_drawn_as_one():
    above, below = np.tile([1.0, 0.0], 50), np.ones(100)
    alone = ratio_interval(above, below)
    together = ratio_interval(above, below, users=np.arange(100) // 2)
    assert alone.mean == together.mean == 0.5
    assert (together.low, together.high, together.users) == (0.5, 0.5, 50)
    assert alone.low < 0.45


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: slate_weights([[0.0]], [[0.5]]), "propensities"),
        (lambda: slate_weights([[1.5]], [[0.5]]), "propensities"),
        (lambda: slate_weights([[0.5]], [[np.nan]]), "targets"),
        (lambda: slate_weights([[0.5]], [[0.5, 0.5]]), "targets"),
        (lambda: slate_weights([0.5], [0.5]), "a row per slate"),
        (lambda: ips([[np.nan]], [[1.0]]), "rewards"),
        (lambda: ips([[1.0], [1.0]], [[1.0]]), "lengths"),
        (lambda: snips([[1.0, 1.0]], [[1.0]]), "rewards"),
        (lambda: ratio_interval([np.nan], [1.0]), "finite"),
    ],
)
def test_malformed_logs_are_refused_by_name(call, said):
    with pytest.raises(InvalidInput, match=said):
        call()

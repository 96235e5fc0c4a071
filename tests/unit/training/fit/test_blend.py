"""The blend learner finds what helps, and keeps to its prior where little is known."""

import numpy as np
import pytest

from kindred.training.fit.blend import BlendExamples, blend_ndcg, learn_weights

NAMES = ("good", "noise", "silent")
PRIOR = {"good": 0.2, "noise": 0.7, "silent": 0.1}


def examples(users: int, seed: int = 0) -> BlendExamples:
    """Return candidates of which the first model knows the relevant ones, the second nothing; the third is silent."""
    rng = np.random.default_rng(seed)
    relevant = np.zeros((users, 30), np.bool_)
    relevant[:, :4] = True
    columns = rng.random((users, 30, 3), np.float32)
    columns[:, :, 0] = 0.5 * columns[:, :, 0] + 0.4 * relevant
    columns[:, :, 2] = 0.0
    zeros = np.zeros((users, 30), np.float32)
    return BlendExamples(columns, zeros, np.ones_like(zeros), relevant, relevant.sum(axis=1))


def test_weight_goes_to_the_model_that_knows() -> None:
    found = learn_weights(examples(400), NAMES, PRIOR, 50, seed=1)
    assert found["good"] > 0.6 > 0.3 > found["noise"]
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["silent"] < PRIOR["silent"]


def test_few_users_move_little() -> None:
    few = learn_weights(examples(2), NAMES, PRIOR, 1_000, seed=1)
    assert few == pytest.approx(PRIOR, abs=0.01)


def test_the_same_seed_gives_the_same_weights() -> None:
    assert learn_weights(examples(50), NAMES, PRIOR, 50, 7) == learn_weights(examples(50), NAMES, PRIOR, 50, 7)


def test_nothing_to_learn_from_leaves_the_prior() -> None:
    nothing = examples(3)._replace(columns=np.zeros((3, 30, 3), np.float32))
    assert learn_weights(nothing, NAMES, PRIOR, 50, 1) == pytest.approx(PRIOR)


def test_ndcg_of_the_perfect_order_is_one_and_padding_never_ranks() -> None:
    asked = examples(5)
    base = asked.base.copy()
    base[:, 20:] = -np.inf
    perfect = asked._replace(columns=asked.relevant[:, :, None].astype(np.float32), base=base)
    assert blend_ndcg(perfect, np.ones(1)) == pytest.approx(1.0)
    hidden = perfect._replace(base=np.where(asked.relevant, -np.inf, 0.0).astype(np.float32))
    assert blend_ndcg(hidden, np.ones(1)) == pytest.approx(0.0)

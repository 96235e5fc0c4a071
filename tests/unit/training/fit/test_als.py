"""Fitting implicit ALS."""

from dataclasses import replace

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from tests.unit.models.data import N_ITEMS, NOW, fit_input, history, rows, two_tastes
from threadpoolctl import threadpool_limits

from kindred.core.errors import InvalidInput
from kindred.models.als import AlsConfig
from kindred.models.preference import preferences
from kindred.training.fit.als import fit_als

CONFIG = AlsConfig(factors=8, iterations=8, regularization_exponent=0.0)


def test_fold_in_equals_the_package() -> None:
    """Our request-time solve and the package's own give the same vectors, dislikes included."""
    disliked = rows(*((user, 27 - user % 2, "dislike", NOW, None) for user in range(10)))
    views = two_tastes()
    columns = rows(
        *((int(u), int(i), views.names[k], int(t), None)
          for part in (views, disliked)
          for u, i, k, t in zip(part.users, part.items, part.event_types, part.timestamps, strict=True))
    )  # fmt: skip
    prefs = preferences(columns, NOW)
    assert (~prefs.positive).sum() == 10
    model = fit_als(fit_input(columns), CONFIG)
    with threadpool_limits(limits=1, user_api="blas"):
        peer = AlternatingLeastSquares(factors=8, regularization=model.ridge.regularization, alpha=1.0, num_threads=1)
    peer.item_factors = model.item_factors
    matrix = prefs.to_csr(60, N_ITEMS)
    theirs = peer.recalculate_user(np.arange(60), matrix)
    for user in range(60):
        mine = prefs.take(prefs.users == user)
        solve = model.fold_in(mine.items, mine.confidence, mine.positive)
        np.testing.assert_allclose(solve.vector, theirs[user], rtol=2e-3, atol=2e-4)


def test_learns_two_tastes() -> None:
    model = fit_als(fit_input(two_tastes()), AlsConfig(factors=2))
    scores = model.score(history([0, 1, 2], np.full(3, 4.0)), np.arange(N_ITEMS, dtype=np.int32))
    assert scores[3:14].min() > scores[14:28].max()
    assert not model.item_factors[28:].any()
    assert model.item_factors[:28].any(axis=1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_same_factors(threads: int) -> None:
    data = replace(fit_input(two_tastes()), threads=threads)
    first, second = fit_als(data, CONFIG), fit_als(data, CONFIG)
    np.testing.assert_array_equal(first.item_factors, second.item_factors)
    other = fit_als(data, AlsConfig(factors=8, iterations=8, seed=1))
    assert not np.array_equal(first.item_factors, other.item_factors)


@pytest.mark.parametrize("n_users", [3, 20, 60])
def test_a_small_catalogue_is_not_shrunk_to_nothing(n_users: int) -> None:
    model = fit_als(fit_input(two_tastes(n_users)), AlsConfig())
    assert np.linalg.norm(model.item_factors, axis=1).max() > 0.1


def test_nothing_liked_gives_factors_of_zero() -> None:
    disliked = rows(*((user, 1, "dislike", NOW, None) for user in range(5)))
    for columns in (rows(), disliked):
        assert not fit_als(fit_input(columns), CONFIG).item_factors.any()


def test_a_bad_setting_is_said() -> None:
    with pytest.raises(InvalidInput, match="/als"):
        fit_als(fit_input(two_tastes()), AlsConfig(regularization=0.0))


def test_fold_in_solves_what_training_solved_with_a_lambda_of_its_own() -> None:
    """At the fixed point a user's trained factors are what folding in gives, whatever λ grows with."""
    data = fit_input(two_tastes())
    model = fit_als(data, AlsConfig(factors=4, iterations=200, regularization=5.0, full_pairs=1))
    gram = np.zeros((4, 4))
    for user in range(60):
        mine = data.preferences.take(data.preferences.users == user)
        vector = model.fold_in(mine.items, mine.confidence, mine.positive).vector
        gram += np.outer(vector, vector)
    np.testing.assert_allclose(model.user_gram, gram, rtol=2e-2, atol=2e-3)

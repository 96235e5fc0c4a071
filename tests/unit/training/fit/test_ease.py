"""Fitting EASE."""

import numpy as np
import pytest
from tests.unit.models.data import N_ITEMS, NOW, fit_input, rows, two_tastes

from kindred.core.errors import InvalidInput
from kindred.models.ease import EaseConfig, EaseModel
from kindred.training.fit.ease import fit_ease

ALL = EaseConfig(regularization=7.0, neighbours=N_ITEMS, min_users=1)


def dense(model: EaseModel) -> np.ndarray:
    """Return the weights (n, n), rows of the items that speak."""
    found = np.zeros((model.n_items, model.n_items))
    for item in range(model.n_items):
        others, weights = model.similar(item, N_ITEMS)
        found[item, others] = weights
    return found


def by_the_paper() -> np.ndarray:
    """Return the positive weights of Steck (2019), equation 8, with the plain inverse."""
    matrix = fit_input(two_tastes()).preferences.to_csr(60, N_ITEMS).toarray().astype(np.float64)
    matrix /= matrix.max()
    inverse = np.linalg.inv(matrix.T @ matrix + 7.0 * np.eye(N_ITEMS))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.maximum(weights, 0.0)


def test_equals_the_paper() -> None:
    np.testing.assert_allclose(dense(fit_ease(fit_input(two_tastes()), ALL)), by_the_paper(), rtol=1e-3, atol=1e-5)


def test_item_by_item_from_all_others_is_the_same() -> None:
    config = EaseConfig(regularization=7.0, neighbours=N_ITEMS, min_users=1, dense_items=1, local_items=N_ITEMS)
    expected = by_the_paper()
    found = dense(fit_ease(fit_input(two_tastes()), config))
    # What never stood together with an item is no candidate for it.
    stood = found > 0
    assert stood.sum() > 0.5 * (expected > 0).sum()
    np.testing.assert_allclose(found[stood], expected[stood], rtol=0.15, atol=5e-3)


def test_the_largest_weights_are_kept_best_first() -> None:
    model = fit_ease(fit_input(two_tastes()), EaseConfig(regularization=7.0, neighbours=3))
    np.testing.assert_allclose(model.similarities, -np.sort(-by_the_paper(), axis=1)[:, :3], rtol=1e-3, atol=1e-5)


def test_items_with_too_few_users_are_left_out() -> None:
    columns = rows(
        *((user, item, "view", NOW, None) for user in range(5) for item in range(3)), (9, 4, "view", NOW, None)
    )
    model = fit_ease(fit_input(columns, 6), EaseConfig(min_users=2, regularization=1.0))
    assert set(model.neighbours[model.neighbours >= 0].tolist()) == {0, 1, 2}


def test_a_bad_setting_is_named() -> None:
    with pytest.raises(InvalidInput, match="regularization"):
        fit_ease(fit_input(two_tastes()), EaseConfig(regularization=0.0))

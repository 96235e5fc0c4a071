"""Fitting the graph filter."""

import numpy as np
import pytest
from tests.unit.models.data import N_ITEMS, fit_input, history, two_tastes

from kindred.core.errors import InvalidInput
from kindred.models.graph import GraphConfig
from kindred.training.fit import graph
from kindred.training.fit.graph import GraphFilter, fit_graph
from kindred.training.fit.item_item import liked_matrix

DATA = fit_input(two_tastes())
LIKED = liked_matrix(DATA.preferences, N_ITEMS, 500)


def by_formula(config: GraphConfig) -> np.ndarray:
    """Return the whole operator (n, n) in dense double precision."""
    liked = LIKED.toarray().astype(np.float64)
    items = liked.sum(axis=0)
    touched, power = items > 0, np.where(items > 0, items, 1)
    normed = liked * liked.sum(axis=1)[:, None] ** -config.user_power * power**-0.5
    _, values, rows = np.linalg.svd(normed, full_matrices=False)
    eigenvalues = (values / values[0]) ** 2
    lifted = np.maximum(config.lift - eigenvalues, 0)
    lifted[config.frequencies :] = 0
    middle = rows.T @ np.diag(eigenvalues + lifted) @ rows
    whole = power[:, None] ** -config.history_power * middle * power**config.target_power
    return np.where(touched[:, None] & touched, whole, 0)


@pytest.mark.parametrize("frequencies", [0, 2, 512])
@pytest.mark.parametrize("lift", [0.0, 0.45, 1.0])
def test_the_filter_is_its_formula(frequencies: int, lift: float) -> None:
    config = GraphConfig(frequencies=frequencies, lift=lift, user_power=0.3, history_power=0.1, target_power=0.4)
    found = GraphFilter.of(LIKED, config)(LIKED)
    np.testing.assert_allclose(found, LIKED @ by_formula(config), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("own_items", [False, True])
@pytest.mark.parametrize("block_bytes", [1, 1 << 26])
def test_each_item_keeps_its_strongest_others(
    own_items: bool, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "BLOCK_BYTES", block_bytes)
    config = GraphConfig(neighbours=5, own_items=own_items)
    whole, model = by_formula(config), fit_graph(DATA, config)
    if not own_items:
        np.fill_diagonal(whole, 0)
    np.testing.assert_allclose(model.similarities, np.maximum(-np.sort(-whole, axis=1)[:, :5], 0), rtol=1e-3, atol=1e-5)
    for item in range(N_ITEMS):
        items, values = model.similar(item, 5)
        assert (item in items) == (own_items and whole[item, item] > 0)
        np.testing.assert_allclose(whole[item, items], values, rtol=1e-3)


def test_uncut_it_answers_as_the_whole_operator() -> None:
    config = GraphConfig(neighbours=N_ITEMS, own_items=True)
    items = np.array([0, 3, 20])
    asked = history(items, np.array([1.0, 2.0, 1.5]))
    expected = asked.confidence @ np.maximum(by_formula(config), 0)[items]
    found = np.zeros(N_ITEMS)
    ordinals, scores = fit_graph(DATA, config).spread(asked)
    found[ordinals] = scores
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("field", "value"), [("lift", 1.5), ("neighbours", 0), ("user_power", -0.1), ("frequencies", -1)]
)
def test_settings_out_of_bounds_are_named(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=field):
        fit_graph(DATA, GraphConfig(**{field: value}))

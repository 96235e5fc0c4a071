"""Implicit ALS at request time."""

import numpy as np
import pytest
from tests.unit.models.data import history
from tests.unit.models.model_contract import ModelContract

from kindred.models.als import AlsConfig, AlsModel, Ridge

N, D = 40, 8
ITEMS = np.array([1, 5, 7, 9], np.int32)
CONFIDENCE = np.array([3.0, 2.0, 4.0, 5.0], np.float32)
POSITIVE = np.array([True, True, False, True])
NONE = (np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.bool_))


def model() -> AlsModel:
    """Return random factors."""
    factors = np.random.default_rng(5).normal(size=(N, D)).astype(np.float32)
    factors[-1] = 0.0
    return AlsModel.from_factors(factors, factors[:0], Ridge(0.7), Ridge(0.7), AlsConfig(factors=D))


class TestAlsModel(ModelContract):
    """ALS keeps the contract."""

    arrays = ("item_factors", "gram")

    def fit(self) -> AlsModel:
        return model()

    def ask(self, model: AlsModel) -> tuple[np.ndarray, np.ndarray]:
        items = np.arange(N, dtype=np.int32)
        return items, model.score(history(ITEMS, CONFIDENCE, POSITIVE), items)

    def ask_unknown(self, model: AlsModel) -> list[np.ndarray]:
        strangers = np.array([-1, N, 10**6], np.int32)
        solve, nothing = model.fold_in(ITEMS, CONFIDENCE, POSITIVE), model.fold_in(*NONE)
        known = history(ITEMS, CONFIDENCE, POSITIVE)
        return [
            nothing.vector,
            model.fold_in(strangers, CONFIDENCE[:3], POSITIVE[:3]).vector,
            model.score(known, strangers),
            model.contributions(solve, strangers),
            *model.anchors(known, strangers),
            *model.anchors(history(*NONE), ITEMS),
            *model.anchors(known, NONE[0]),
        ]


def test_solves_the_equation_of_the_paper() -> None:
    fitted = model()
    factors = fitted.item_factors.astype(np.float64)
    weights, wanted = np.ones(N), np.zeros(N)
    weights[ITEMS], wanted[ITEMS] = CONFIDENCE, np.where(POSITIVE, 1.0, 0.0)
    system = factors.T @ np.diag(weights) @ factors + 0.7 * np.eye(D)
    expected = np.linalg.solve(system, factors.T @ (weights * wanted))
    np.testing.assert_allclose(fitted.fold_in(ITEMS, CONFIDENCE, POSITIVE).vector, expected, rtol=1e-4, atol=1e-6)


def test_contributions_sum_to_the_score_and_name_the_anchor() -> None:
    fitted = model()
    solve, candidates = fitted.fold_in(ITEMS, CONFIDENCE, POSITIVE), np.arange(N, dtype=np.int32)
    parts = fitted.contributions(solve, candidates)
    known = history(ITEMS, CONFIDENCE, POSITIVE)
    np.testing.assert_allclose(parts.sum(axis=1), fitted.score(known, candidates), rtol=1e-3, atol=1e-5)
    assert not parts[:, ~POSITIVE].any()
    anchors, added = fitted.anchors(known, candidates)
    assert set(anchors.tolist()) <= {1, 5, 9, -1}
    np.testing.assert_allclose(added, np.maximum(parts.max(axis=1), 0.0))
    assert (anchors[added > 0] == ITEMS[parts.argmax(axis=1)][added > 0]).all()


@pytest.mark.parametrize(("items", "positive"), [([], []), ([N - 1], [True]), ([3], [False]), ([N + 3], [True])])
def test_nothing_known_and_liked_is_flagged(items: list[int], positive: list[bool]) -> None:
    solve = model().fold_in(
        np.array(items, np.int32), np.ones(len(items), np.float32) * 3, np.array(positive, np.bool_)
    )
    assert solve.empty
    assert not solve.vector.any()


def test_a_dislike_lowers_its_own_item() -> None:
    fitted = model()
    with_it = history(ITEMS, CONFIDENCE, POSITIVE)
    without = history(ITEMS[POSITIVE], CONFIDENCE[POSITIVE], POSITIVE[POSITIVE])
    disliked = ITEMS[~POSITIVE]
    assert abs(fitted.score(with_it, disliked)[0]) < abs(fitted.score(without, disliked)[0])


def test_newer_items_change_nothing() -> None:
    fitted = model()
    more = fitted.fold_in(
        np.append(ITEMS, np.int32(N)), np.append(CONFIDENCE, np.float32(9)), np.append(POSITIVE, True)
    )
    np.testing.assert_array_equal(more.vector, fitted.fold_in(ITEMS, CONFIDENCE, POSITIVE).vector)
    assert more.items.tolist() == ITEMS.tolist()


def test_little_data_takes_little_regularization() -> None:
    config = AlsConfig(regularization=30.0, full_pairs=1_000)
    assert [config.effective(pairs) for pairs in (10, 1_000, 10**6)] == pytest.approx([3.0, 30.0, 30.0])


def test_lambda_grows_with_what_is_known_and_is_the_mean_over_all() -> None:
    extra = np.array([0.0, 10.0, 100.0, 1_000.0], np.float32)
    ridge = Ridge.fitted(3.0, 1.0, 50, extra)
    found = [ridge.at(int(step)) for step in ridge.steps(extra)]
    np.testing.assert_allclose(found, 3.0 * (extra + 50) / (extra + 50).mean(), rtol=0.05)
    flat = Ridge.fitted(3.0, 0.0, 50, extra)
    assert {flat.at(int(step)) for step in flat.steps(extra)} == {3.0}

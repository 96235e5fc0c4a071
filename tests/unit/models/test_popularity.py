"""Time-decayed popularity."""

import numpy as np
import pytest
from tests.unit.models.data import DAY, N_ITEMS, NOW, rows, two_tastes
from tests.unit.models.model_contract import ModelContract

from kindred.core.errors import InvalidInput
from kindred.models.categories import ItemCategories
from kindred.models.popularity import PopularityConfig, PopularityModel, fit_popularity

CATEGORIES = ItemCategories.from_lists([["low" if i < 14 else "high", "all"] for i in range(N_ITEMS)])


class TestPopularityModel(ModelContract):
    """Popularity keeps the contract."""

    arrays = ("scores", "user_counts", "top_items", "category_offsets", "category_items")

    def fit(self) -> PopularityModel:
        return fit_popularity(two_tastes(), CATEGORIES, NOW)

    def ask(self, model: PopularityModel) -> tuple[np.ndarray, np.ndarray]:
        return model.top_in("low", 5)

    def ask_unknown(self, model: PopularityModel) -> list[np.ndarray]:
        return [*model.top_in("unheard of", 5), model.score_candidates(np.array([-1, N_ITEMS, 10**6], np.int32))]


def test_newer_beats_older_by_the_half_life() -> None:
    columns = rows((0, 0, "view", NOW - 10 * DAY, None), (1, 1, "view", NOW, None))
    model = fit_popularity(columns, ItemCategories.from_lists([[], []]), NOW, PopularityConfig(half_life=10 * 86_400.0))
    np.testing.assert_allclose(model.scores, [0.5, 1.0])


def test_a_script_counts_as_one_user() -> None:
    bot = [(0, 0, "view", NOW - step, None) for step in range(500)]
    people = [(user, 1, "view", NOW - DAY, None) for user in range(1, 4)]
    model = fit_popularity(rows(*bot, *people), ItemCategories.from_lists([[], []]), NOW)
    assert model.top(2)[0].tolist() == [1, 0]
    assert model.user_counts.tolist() == [1, 3]


def test_dislikes_and_the_future_make_nothing_popular() -> None:
    columns = rows((0, 0, "dislike", NOW, None), (0, 1, "purchase", NOW + 1, None), (0, 2, "view", NOW, None))
    model = fit_popularity(columns, ItemCategories.from_lists([[], [], []]), NOW)
    assert model.top(10)[0].tolist() == [2]


def test_category_lists_hold_their_items_best_first() -> None:
    model = fit_popularity(two_tastes(), CATEGORIES, NOW)
    items, scores = model.top_in("high", 50)
    assert set(items.tolist()) == set(range(14, 28))
    assert (np.diff(scores) <= 0).all()
    assert len(model.top_in("all", 50)[0]) == 28


def test_a_category_that_nobody_tagged_has_no_list() -> None:
    tagged_none = ItemCategories.from_lists([[] for _ in range(N_ITEMS)])
    bare, full = (fit_popularity(two_tastes(), categories, NOW) for categories in (tagged_none, CATEGORIES))
    assert not len(bare.top_in("low", 5)[0])
    np.testing.assert_array_equal(bare.top(N_ITEMS)[0], full.top(N_ITEMS)[0])


def test_no_interactions_is_nothing_popular() -> None:
    model = fit_popularity(rows(), CATEGORIES, NOW)
    assert len(model.top(5)[0]) == 0
    assert not model.scores.any()


def test_very_old_data_does_not_underflow() -> None:
    columns = rows((0, 0, "view", 1_000, None), (1, 0, "view", 1_000, None), (0, 1, "view", 1_000, None))
    model = fit_popularity(columns, ItemCategories.from_lists([[], []]), NOW, PopularityConfig(half_life=3_600.0))
    np.testing.assert_allclose(model.scores, [1.0, 0.5])


def test_bad_half_life_is_named() -> None:
    with pytest.raises(InvalidInput, match="half_life"):
        fit_popularity(rows(), CATEGORIES, NOW, PopularityConfig(half_life=0.0))


def test_primary_category_is_the_first() -> None:
    categories = ItemCategories.from_lists([["b", "a"], [], ["a"]])
    assert [categories.names[code] if code >= 0 else None for code in categories.primary()] == ["b", None, "a"]


def test_rows_without_time_count_in_full() -> None:
    columns = rows((0, 0, "view", -1, None), (1, 1, "view", NOW, None))
    assert fit_popularity(columns, ItemCategories.from_lists([[], []]), NOW).scores.tolist() == [1.0, 1.0]

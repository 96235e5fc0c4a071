"""Trending."""

import numpy as np
import pytest
from tests.unit.models.data import NOW
from tests.unit.models.model_contract import ModelContract

from kindred.core.errors import InvalidInput
from kindred.models.trending import (
    HOUR,
    TrendingConfig,
    TrendingModel,
    fit_trending,
    trending_scores,
)

N = 4


def columns() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, items, timestamps: item 0 steady and famous, 1 rising in the last day, 2 twice ever."""
    rng = np.random.default_rng(1)
    steady = NOW - rng.integers(0, 35 * 24, 4_000) * HOUR - 1
    rising = NOW - rng.integers(0, 24, 60) * HOUR - 1
    times = np.concatenate([steady, rising, [NOW - 1, NOW - 2]])
    items = np.repeat(np.array([0, 1, 2], np.int32), [4_000, 60, 2])
    return np.arange(len(items), dtype=np.int32), items, times.astype(np.int64)


class TestTrendingModel(ModelContract):
    """Trending keeps the contract."""

    arrays = ("scores",)

    def fit(self) -> TrendingModel:
        return fit_trending(*columns(), N, NOW)

    def ask(self, model: TrendingModel) -> tuple[np.ndarray, np.ndarray]:
        return model.top("24h", 5)

    def ask_unknown(self, model: TrendingModel) -> list[np.ndarray]:
        nowhere = np.zeros(N, np.bool_)
        return [model.score_candidates("7d", np.array([-1, N], np.int32)), *model.top("1h", 5, nowhere)]


def test_rising_beats_famous() -> None:
    model = fit_trending(*columns(), N, NOW)
    assert model.top("24h", 1)[0].tolist() == [1]
    assert model.scores[1, 2] == 0.0
    assert model.scores[1, 0] < model.scores[1, 1] / 3


def test_formula() -> None:
    found = trending_scores([20], [240], 1, 24, TrendingConfig(prior=5.0))
    assert found[0] == pytest.approx((20 - 10) / np.sqrt(15))


def test_repeats_of_one_user_in_one_hour_count_once() -> None:
    users, items = np.zeros(500, np.int32), np.zeros(500, np.int32)
    model = fit_trending(users, items, np.full(500, NOW - 1, np.int64), 1, NOW)
    assert model.scores[:, 0].tolist() == [0, 0, trending_scores([1], [0], 168, 168, TrendingConfig())[0]]


def test_what_happens_after_as_of_is_not_known() -> None:
    users = np.arange(50, dtype=np.int32)
    model = fit_trending(users, np.zeros(50, np.int32), np.full(50, NOW + 1, np.int64), 1, NOW)
    assert not model.scores.any()


def test_a_bad_window_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"2h.*known are 1h, 24h, 7d"):
        fit_trending(*columns(), N, NOW).top("2h", 3)

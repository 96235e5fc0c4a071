"""Trends as of a moment know nothing of what came later."""

import numpy as np
from tests.unit.training.tastes import DAY, START, tastes

from kindred.models.trending import TrendingConfig
from kindred.training.trend_clock import TrendClock


def test_lists_hold_only_what_had_happened() -> None:
    data = tastes()
    clock = TrendClock(data.interactions, data.n_items, TrendingConfig())
    now = START + 3 * DAY + 1_000
    past = data.with_rows(data.interactions.timestamps <= now)
    alone = TrendClock(past.interactions, data.n_items, TrendingConfig()).at(now)
    found = clock.at(now)
    assert len(found["24h"][0])
    for window, (items, scores) in found.items():
        np.testing.assert_array_equal(items, alone[window][0])
        np.testing.assert_array_equal(scores, alone[window][1])


def test_before_the_first_row_nothing_trends() -> None:
    data = tastes()
    assert TrendClock(data.interactions, data.n_items, TrendingConfig()).at(START - DAY) == {}

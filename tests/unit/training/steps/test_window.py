"""Rows that may teach: not from the future, not from before the window, and with values that are numbers."""

import numpy as np
import pytest
from tests.unit.training.tastes import DAY, START, tastes

from kindred.core.errors import InvalidInput
from kindred.models.preference import PreferenceConfig
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.steps.begin import check_weights
from kindred.training.steps.window import parse_since, windowed


def test_rows_from_the_future_are_left_out_and_counted() -> None:
    data = tastes()
    now = int(data.interactions.timestamps.max())
    data.interactions.timestamps[:3] = now + 2 * DAY
    found = windowed(data, TrainingConfig(), now, None)
    assert found.left_out == {"data.future_rows": 3.0}
    assert len(found.dataset.interactions) == len(data.interactions) - 3


def test_infinite_values_are_none() -> None:
    data = tastes()
    data.interactions.values[:2] = np.inf
    found = windowed(data, TrainingConfig(), START + 1_000 * DAY, None)
    assert found.left_out["data.infinite_values"] == 2.0
    assert not np.isinf(found.dataset.interactions.values).any()


def test_a_window_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no interaction is later"):
        windowed(tastes(), TrainingConfig(), START + 9_000 * DAY, START + 8_999 * DAY)


@pytest.mark.parametrize(("text", "back"), [("90d", 90 * DAY), ("12h", DAY // 2), ("6w", 42 * DAY)])
def test_spans_are_read(text: str, back: int) -> None:
    assert parse_since(text, START) == START - back


@pytest.mark.parametrize("text", ["", "yesterday", "5y", "2999-01-01"])
def test_what_is_no_past_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="since"):
        parse_since(text, START)


def test_a_weight_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"preference.alpha"):
        check_weights(TrainConfigs(preference=PreferenceConfig(alpha=float("nan"))))

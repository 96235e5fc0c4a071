"""How new items are."""

import numpy as np
import pytest
from tests.unit.models.data import DAY, NOW

from kindred.core.errors import InvalidInput
from kindred.models.new_items import novelty_scores


def test_falls_in_a_line_and_ignores_what_has_no_time() -> None:
    created = np.array([NOW, NOW - 5 * DAY, NOW - 10 * DAY, NOW - 99 * DAY, 0, NOW + 1], np.int64)
    found = novelty_scores(created, NOW, 10 * 86_400.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [1.0, 0.5, 0.0, 0.0, 0.0, 0.0])


def test_bad_window_is_named() -> None:
    with pytest.raises(InvalidInput, match="/window"):
        novelty_scores(np.array([NOW]), NOW, 0.0)

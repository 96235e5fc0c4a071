"""The one weight function."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.models.data import DAY, NAMES, NOW, rows

from kindred.core.errors import InvalidInput
from kindred.models.preference import Interactions, PreferenceConfig, event_weights, preferences

NO_CAP = PreferenceConfig(max_user_weight=1e12)


def one(*events: tuple[str, float | None], config: PreferenceConfig = NO_CAP) -> tuple[float, bool] | None:
    """Return weight and sign of one user's events on one item, a minute apart, or None without a preference."""
    columns = rows(*((0, 3, kind, NOW + 60_000 * step, value) for step, (kind, value) in enumerate(events)))
    found = preferences(columns, NOW + DAY, config)
    return (float(found.weights[0]), bool(found.positive[0])) if len(found) else None


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("purchase", None, (5.0, True)),
        ("like", None, (4.0, True)),
        ("add_to_cart", None, (3.0, True)),
        ("click", None, (2.0, True)),
        ("view", None, (1.0, True)),
        ("unheard_of", None, (1.0, True)),
        ("dislike", None, (4.0, False)),
        ("skip", None, (1.0, False)),
        ("impression", None, None),
        ("rating", 5.0, (4.0, True)),
        ("rating", 3.5, (2.8, True)),
        ("rating", 3.4, None),
        ("rating", 2.6, None),
        ("rating", 2.5, (2.0, False)),
        ("rating", 0.0, (4.0, False)),
        ("rating", None, None),
    ],
)
def test_weight_of_each_event(kind: str, value: float | None, expected: tuple[float, bool] | None) -> None:
    assert one((kind, value)) == (None if expected is None else (pytest.approx(expected[0]), expected[1]))


def test_confidence_formula() -> None:
    found = preferences(rows((0, 1, "view", NOW, None), (0, 1, "click", NOW, None)), NOW, PreferenceConfig(alpha=3.0))
    assert found.confidence[0] == pytest.approx(1 + 3 * math.log1p(3.0))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("like", None), ("dislike", None)], (4.0, False)),
        ([("dislike", None), ("like", None)], (4.0, True)),
        ([("dislike", None), ("view", None)], (4.0, False)),
        ([("skip", None), ("purchase", None)], (5.0, True)),
        ([("view", None), ("rating", 3.0)], None),
        ([("view", None), ("rating", 1.0)], (3.2, False)),
        ([("rating", 1.0), ("rating", 5.0)], (4.0, True)),
        ([("rating", 5.0), ("rating", 5.0)], (4.0, True)),
        ([("rating", 5.0), ("rating", 3.0)], None),
        ([("rating", 3.0), ("like", None)], (4.0, True)),
        ([("view", None), ("view", None), ("click", None)], (4.0, True)),
    ],
)
def test_the_latest_opinion_decides(
    events: list[tuple[str, float | None]], expected: tuple[float, bool] | None
) -> None:
    assert one(*events) == (None if expected is None else (pytest.approx(expected[0]), expected[1]))


def test_order_of_rows_does_not_matter_only_time() -> None:
    columns = rows((0, 1, "like", NOW + 5, None), (0, 1, "dislike", NOW, None))
    assert preferences(columns, NOW).positive.tolist() == [True]


def test_half_life_and_age() -> None:
    columns = rows((0, 1, "purchase", NOW - 10 * DAY, None), (0, 2, "purchase", NOW, None))
    decayed = preferences(columns, NOW, PreferenceConfig(half_life=10 * 86_400.0))
    np.testing.assert_allclose(decayed.weights, [2.5, 5.0])
    recent = preferences(columns, NOW, PreferenceConfig(max_age=9 * 86_400.0))
    assert recent.items.tolist() == [2]
    # An event from the future weighs no more than one of now.
    weights, _ = event_weights(columns, NOW - 20 * DAY, PreferenceConfig(half_life=86_400.0))
    assert weights.tolist() == [5.0, 5.0]


def test_cap_scales_one_user_and_spares_others() -> None:
    columns = rows(*((0, item, "purchase", NOW, None) for item in range(10)), (1, 0, "purchase", NOW, None))
    found = preferences(columns, NOW, PreferenceConfig(max_user_weight=20.0))
    np.testing.assert_allclose(found.weights, [2.0] * 10 + [5.0])


def test_only_the_latest_items_count() -> None:
    columns = rows(*((0, item, "view", NOW + item, None) for item in range(10)), (0, 0, "view", NOW + 99, None))
    found = preferences(columns, NOW, PreferenceConfig(max_items=3))
    assert found.items.tolist() == [0, 8, 9]


def test_folding_in_alone_equals_training_among_others() -> None:
    rng = np.random.default_rng(3)
    events = [
        (int(rng.integers(5)), int(rng.integers(8)), NAMES[rng.integers(len(NAMES))], NOW + int(step), 4.0)
        for step in rng.integers(0, 10**6, 400)
    ]
    columns = rows(*events)
    together = preferences(columns, NOW)
    for user in range(5):
        alone = preferences(columns.take(columns.users == user), NOW)
        mine = together.take(together.users == user)
        np.testing.assert_array_equal(alone.items, mine.items)
        np.testing.assert_array_equal(alone.confidence, mine.confidence)
        np.testing.assert_array_equal(alone.positive, mine.positive)


def test_nothing_gives_nothing_and_unknown_items_are_left_out() -> None:
    assert len(preferences(rows(), NOW)) == 0
    assert len(preferences(rows((0, -1, "view", NOW, None)), NOW)) == 0


def test_bad_columns_are_named() -> None:
    good = rows((0, 1, "view", NOW, None))
    with pytest.raises(InvalidInput, match="/items"):
        Interactions(good.users, good.items[:0], good.timestamps, good.event_types, good.values, NAMES)
    with pytest.raises(InvalidInput, match="/event_types"):
        Interactions(good.users, good.items, good.timestamps, good.event_types + 50, good.values, NAMES)


def test_csr_holds_signed_confidences() -> None:
    found = preferences(rows((1, 2, "view", NOW, None), (0, 4, "dislike", NOW, None)), NOW)
    matrix = found.to_csr(2, 5).toarray()
    assert matrix[1, 2] == pytest.approx(1 + 2 * math.log1p(1))
    assert matrix[0, 4] == pytest.approx(-(1 + 2 * math.log1p(4)))
    assert np.count_nonzero(matrix) == 2


event = st.tuples(
    st.integers(0, 3),
    st.integers(-1, 5),
    st.sampled_from(NAMES),
    st.integers(NOW - 400 * DAY, NOW),
    st.one_of(st.none(), st.floats(0, 5, width=32)),
)


@given(st.lists(event, max_size=40))
def test_always_sorted_distinct_and_bounded(events: list[tuple[int, int, str, int, float | None]]) -> None:
    found = preferences(rows(*events), NOW, PreferenceConfig(max_user_weight=7.0, half_life=30 * 86_400.0))
    pairs = list(zip(found.users.tolist(), found.items.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert (found.confidence >= 1).all()
    assert np.isfinite(found.confidence).all()
    assert (found.items >= 0).all()
    assert all(found.weights[found.users == user].sum() <= 7.0 + 1e-4 for user in range(4))


def test_rows_without_time_count_in_full_but_are_the_oldest() -> None:
    config = PreferenceConfig(half_life=3_600.0, max_age=86_400.0)
    assert preferences(rows((0, 1, "purchase", -1, None)), NOW, config).weights.tolist() == [5.0]
    both = rows((0, 1, "dislike", NOW, None), (0, 1, "like", -1, None))
    assert preferences(both, NOW).positive.tolist() == [False]

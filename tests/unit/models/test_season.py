"""What is due again in its month."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindred.core.clock import DAY
from kindred.core.errors import BundleCorrupt
from kindred.models.season import TOP, SeasonModel, fit_season

STEADY, SANTA, EGG, YOUNG = 0, 1, 2, 3


def at(year: int, month: int, day: int = 15) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


def shop(years: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return acts from December 2022: item 0 every month, 1 in Decembers, 2 in Aprils, 3 in the last November alone."""
    rows: list[tuple[int, int, int]] = []
    for year in range(2022, 2022 + years):
        for month in range(12):
            when = at(year + (month + 11) // 12, (month + 11) % 12 + 1)
            rows += [(user, STEADY, when) for user in range(30)]
            many = {0: (SANTA, 40), 4: (EGG, 30)}.get(month)
            rows += [(user, many[0], when) for user in range(many[1])] if many else []
    rows += [(user, YOUNG, at(2022 + years, 11)) for user in range(40)]
    users, items, times = np.array(rows).T
    return users.astype(np.int32), items.astype(np.int32), times


def due(model: SeasonModel, now: int) -> list[int]:
    items, scores = model.due(now)
    return items[np.argsort(-scores, kind="stable")].tolist()


@pytest.mark.parametrize("years", [1, 2])
def test_what_peaked_last_december_is_due_again_after_eleven_silent_months(years: int) -> None:
    model = fit_season(*shop(years), 5, at(2022 + years, 11, 20))
    assert due(model, at(2022 + years, 12, 1))[0] == SANTA
    # Two weeks ahead, not four.
    assert SANTA in due(model, at(2022 + years, 11, 20))
    assert SANTA not in due(model, at(2022 + years, 11, 10))
    assert due(model, at(2023 + years, 4))[0] == EGG
    assert due(model, at(2023 + years, 7, 10)) == []
    assert all(STEADY not in due(model, at(2023, month)) for month in range(1, 13))
    assert all(YOUNG not in due(model, at(2023, month)) for month in range(1, 13))


def test_data_of_less_than_a_year_knows_no_season() -> None:
    users, items, times = shop()
    recent = times > at(2023, 3)
    model = fit_season(users[recent], items[recent], times[recent], 5, at(2023, 11, 20))
    assert not len(model.items)
    assert not len(fit_season(users[:0], items[:0], times[:0], 5, at(2023, 11, 20)).items)
    assert due(SeasonModel.none(), at(2023, 12)) == []


def test_what_is_kept_does_not_grow_with_the_catalogue() -> None:
    items = np.repeat(np.arange(1_000, dtype=np.int32), 10)
    users, times = np.tile(np.arange(10, dtype=np.int32), 1_000), np.full(10_000, at(2022, 12))
    users, items, times = np.append(users, 0), np.append(items, 5_000), np.append(times, at(2023, 3))
    model = fit_season(users.astype(np.int32), items.astype(np.int32), times, 6_000, at(2023, 11))
    assert np.diff(model.offsets).tolist() == [0, 0, 1, *[0] * 8, TOP]


def test_it_is_saved_and_opened(tmp_path) -> None:
    model = fit_season(*shop(), 5, at(2023, 11, 20))
    model.save(tmp_path / "season")
    found = SeasonModel.load(tmp_path / "season")
    assert (found.n_items, due(found, at(2023, 12))) == (5, due(model, at(2023, 12)))
    np.save(tmp_path / "season" / "items.npy", np.full(len(model.items), 9, np.int32))
    with pytest.raises(BundleCorrupt, match="ordinals"):
        SeasonModel.load(tmp_path / "season")


@settings(max_examples=25, deadline=None)
@given(st.randoms(), st.integers(0, 20))
def test_order_and_repeats_of_rows_change_nothing(random, repeats: int) -> None:
    users, items, times = shop()
    order = [*range(len(users)), *range(repeats)]
    random.shuffle(order)
    one = fit_season(users, items, times, 5, at(2023, 11, 20))
    other = fit_season(users[order], items[order], times[order], 5, at(2023, 11, 20))
    np.testing.assert_array_equal(one.items, other.items)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)


@given(st.integers(0, 3_000))
def test_only_the_past_counts(days: int) -> None:
    """Rows after the training's moment are as if they were not there."""
    users, items, times = shop(2)
    as_of = at(2022, 12, 1) + days * DAY
    before = times <= as_of
    one = fit_season(users, items, times, 5, as_of)
    other = fit_season(users[before], items[before], times[before], 5, as_of)
    np.testing.assert_array_equal(one.items, other.items)

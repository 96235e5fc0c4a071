"""Counting what segments like."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.data import NOW, rows
from tests.unit.training.tastes import tastes

from kindred.core.profile import Profile
from kindred.features.circumstances import Labels
from kindred.models.popularity import fit_popularity
from kindred.models.preference import PreferenceConfig
from kindred.models.segments import SegmentsConfig, SegmentsModel
from kindred.training.dataset import Dataset
from kindred.training.fit.segments import fit_segments
from kindred.training.row_contexts import RowContexts

GENDERS = SegmentsConfig(by=("gender",), users=2, prior=1.0)


def fitted(dataset: Dataset, config: SegmentsConfig, as_of: int = NOW) -> SegmentsModel:
    fame = fit_popularity(dataset.interactions, dataset.categories(), as_of)
    return fit_segments(dataset, fame, as_of, config, PreferenceConfig())


def shoppers(bought: list[tuple[int, int]], genders: list[str | None], items: int = 6) -> Dataset:
    """Return users of these genders who bought these items."""
    profiles = [None if one is None else Profile(user_id=f"u{n}", gender=one) for n, one in enumerate(genders)]
    columns = rows(*((user, item, "purchase", NOW - 1, None) for user, item in bought))
    return Dataset(columns, [f"u{n}" for n in range(len(genders))], profiles, [None] * items)


def test_lifts_are_counts_of_users_over_what_all_users_do() -> None:
    """Women: 3 of 4 pairs on item 0, men: none; item 1 is a man's, bought twice, and a woman's."""
    bought = [(0, 0), (1, 0), (2, 0), (3, 1), (3, 1), (4, 2), (4, 2), (0, 1)]
    model = fitted(shoppers(bought, ["f", "f", "f", "m", "m"]), GENDERS)
    # 6 distinct pairs, 4 of women: of the 3 buyers of item 0, 2 would be women.
    lifts = model.lifts(["gender=f"], np.array([0, 1, 2, 5], np.int32))
    np.testing.assert_allclose(lifts, [(3 + 1) / (2 + 1), (1 + 1) / (4 / 3 + 1), 1 / (2 / 3 + 1), 1], rtol=1e-6)
    assert model.listed(["gender=f"]).tolist() == [0, 1, 2]


def test_a_segment_of_few_users_is_left_out_and_the_largest_are_kept() -> None:
    bought = [(user, user % 3) for user in range(9)]
    genders = ["a", "a", "a", "a", "b", "b", "b", "c", None]
    assert set(fitted(shoppers(bought, genders), GENDERS).places) == {"gender=a", "gender=b"}
    one = SegmentsConfig(by=("gender",), users=1, most=1)
    assert set(fitted(shoppers(bought, genders), one).places) == {"gender=a"}
    assert not fitted(shoppers(bought, genders), SegmentsConfig(by=())).places
    assert not fitted(shoppers([], genders), GENDERS).places


def test_a_device_is_that_of_the_row() -> None:
    dataset = tastes(users=20, each=4)
    n = len(dataset.interactions)
    codes = np.where(dataset.interactions.items % 2 == 0, 1, 2).astype(np.int32)
    none = Labels(np.zeros(n, np.int32))
    told = replace(dataset, contexts=RowContexts(none, Labels(codes, ("", "phone", "TV")), none))
    later = int(dataset.interactions.timestamps.max())
    model = fitted(told, SegmentsConfig(by=("device",), users=2), later)
    assert set(model.places) == {"device=phone", "device=tv"}
    for name, rest in (("device=phone", 0), ("device=tv", 1)):
        liked = model.listed([name])
        lifts = model.lifts([name], liked)
        assert lifts[liked % 2 == rest].min() > 1 > lifts[liked % 2 != rest].max()
    assert not fitted(dataset, SegmentsConfig(by=("device",), users=2), later).places


def test_what_is_kept_is_bounded_whatever_the_number_of_items() -> None:
    bought = [(user, item) for user in range(6) for item in range(user, 300, 3)]
    dataset = shoppers(bought, ["f", "f", "f", "m", "m", "m"], items=300)
    model = fitted(dataset, SegmentsConfig(by=("gender",), users=1, top=10))
    assert set(model.places) == {"gender=f", "gender=m"}
    assert np.diff(model.offsets).max() <= 20


@pytest.mark.parametrize("event", ["dislike", "impression"])
def test_what_speaks_against_an_item_does_not_count(event: str) -> None:
    dataset = shoppers([], ["f"] * 5)
    columns = rows(*((user, 0, event, NOW - 1, None) for user in range(5)))
    assert not fitted(replace(dataset, interactions=columns), GENDERS).places


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=60), st.randoms())
def test_order_and_repeats_change_nothing(bought: list[tuple[int, int]], random) -> None:
    genders = ["f", "m"] * 5
    shuffled = [*bought, *bought[:10]]
    random.shuffle(shuffled)
    one, other = fitted(shoppers(bought, genders), GENDERS), fitted(shoppers(shuffled, genders), GENDERS)
    assert one.places == other.places
    np.testing.assert_array_equal(one.items, other.items)
    np.testing.assert_allclose(one.excess, other.excess, atol=1e-6)

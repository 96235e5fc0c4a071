"""Segments: what they are made of, and how their lifts are smoothed."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.models.model_contract import ModelContract

from kindred.core.config import decode
from kindred.core.errors import BundleCorrupt, ConfigError
from kindred.core.profile import Profile
from kindred.models.arrays import save_json
from kindred.models.segments import SegmentsConfig, SegmentsModel, smoothed_lift, traits

NOW = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp() * 1000)
ADA = Profile(
    user_id="ada",
    gender="F",
    birth_year=1989,
    country="GB",
    attributes={"occupation": 12, "Band": " A ", "likes": ["x"], "empty": ""},
)


def model() -> SegmentsModel:
    """Return two segments: phones like item 1 twice as much and item 3 half as much, women item 1 three times."""
    return SegmentsModel(
        places={"device=phone": 0, "gender=f": 1},
        offsets=np.array([0, 2, 3]),
        items=np.array([1, 3, 1], np.int32),
        excess=np.array([1.0, -0.5, 2.0], np.float32),
        n_items=5,
        config=SegmentsConfig(by=("device", "gender")),
    )


class TestSegmentsModel(ModelContract):
    """Segments keep the contract."""

    arrays = ("offsets", "items", "excess")

    def fit(self) -> SegmentsModel:
        return model()

    def ask(self, model: SegmentsModel) -> tuple[np.ndarray, np.ndarray]:
        items = model.listed(["device=phone", "gender=f"])
        return items, model.lifts(["device=phone", "gender=f"], items)

    def ask_unknown(self, model: SegmentsModel) -> list[np.ndarray]:
        return [model.lifts(["gender=f"], np.array([-1, 7], np.int32)) - 1, model.listed([])]


def test_lifts_multiply_and_what_is_not_listed_is_like_everyone() -> None:
    items = np.array([0, 1, 3, 9], np.int32)
    np.testing.assert_allclose(model().lifts(["device=phone", "gender=f"], items), [1, 6, 0.5, 1])
    np.testing.assert_allclose(model().lifts([], items), 1)
    assert model().listed(["device=phone", "gender=f"]).tolist() == [1, 3]


def test_only_what_the_model_knows_is_a_segment() -> None:
    assert model().of(ADA, "Phone", NOW) == ("device=phone", "gender=f")
    assert model().of(ADA, "tablet", NOW) == ("gender=f",)
    assert model().of(None, None, NOW) == ()
    assert SegmentsModel.none().of(ADA, "phone", NOW) == ()


def test_traits_are_named_and_what_is_unknown_makes_none() -> None:
    by = ("device", "age", "gender", "country", "attributes.occupation", "attributes.Band")
    found = traits(by, ADA, "Phone", NOW)
    assert found == [
        *("device=phone", "age=30", "gender=f", "country=gb", "attributes.occupation=12", "attributes.Band=a"),
    ]
    unknown = ("language", "region", "attributes.likes", "attributes.empty", "attributes.other", "device")
    assert traits(unknown, ADA, None, NOW) == []
    assert traits(by, None, "", NOW) == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"by": ["devise"]}, "did you mean `device`"),
        ({"by": ["occupation"]}, "attributes.NAME"),
        ({"by": ["attributes."]}, "attributes."),
        ({"by": ["age", "gender", "age"]}, "'age' is named twice"),
        ({"by": [f"attributes.a{n}" for n in range(17)]}, "at most 16"),
        ({"prior": 0}, "prior"),
        ({"users": 0}, "users"),
        ({"most": 20_000}, "most"),
        ({"top": 0}, "top"),
    ],
)
def test_what_makes_no_sense_is_named(table: dict[str, object], said: str) -> None:
    (name,) = table
    with pytest.raises(ConfigError, match=name) as caught:
        decode(SegmentsConfig, table, "segments")
    assert said in str(caught.value)


def test_a_segment_named_twice_is_corrupt(tmp_path) -> None:
    model().save(tmp_path)
    meta = {"n_items": 5, "names": ["gender=f", "gender=f"], "config": {}}
    save_json(tmp_path, "segments", meta)
    with pytest.raises(BundleCorrupt, match="twice"):
        SegmentsModel.load(tmp_path)


COUNTS = st.integers(0, 10_000)
PRIORS = st.floats(0.01, 1_000)


@given(COUNTS, st.floats(0, 10_000), PRIORS)
def test_a_lift_lies_between_one_and_the_plain_ratio(count: int, expected: float, prior: float) -> None:
    lift = float(smoothed_lift(np.array([count]), np.array([expected]), prior)[0])
    low, high = sorted((1.0, count / expected if expected else max(1.0, lift)))
    assert low - 1e-9 <= lift <= high + 1e-9
    assert lift > 0


@given(st.floats(0.05, 20), st.floats(0.5, 1_000), PRIORS)
def test_evidence_moves_a_lift_smoothly_towards_the_ratio(ratio: float, expected: float, prior: float) -> None:
    """With ten times the evidence the lift is nearer to what the users of the segment do, and never jumps there."""
    sizes = expected * np.array([1.0, 10.0, 100.0])
    lifts = smoothed_lift(ratio * sizes, sizes, prior)
    distance = np.abs(lifts - ratio)
    assert (np.diff(distance) <= 1e-9).all()
    close = smoothed_lift(ratio * sizes[:1] * 1.001, sizes[:1] * 1.001, prior)
    assert abs(close[0] - lifts[0]) <= 0.001 * abs(ratio - 1) + 1e-9

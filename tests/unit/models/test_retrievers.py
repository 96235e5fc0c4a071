"""What every retrieval model must keep, whichever it is: whoever registers one is held to this."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.models.data import DAY, N_ITEMS, NOW, fit_input, history, rows, two_tastes

from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.core.extras import missing_extra
from kindred.models.preference import Interactions, PreferenceConfig
from kindred.models.protocol import Retriever, UserHistory
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.registry import FITTINGS

HALF = 14
EVERY = np.arange(N_ITEMS, dtype=np.int32)
NEWER = np.array([N_ITEMS, N_ITEMS + 7, 10**6], np.int32)
LIKED = history([0, 1, 2], np.full(3, 3.0))
COLD = history([], [])
SMALL: dict[str, dict[str, object]] = {
    "als": {"factors": 8, "regularization": 3.0},
    "item_item": {"shrinkage": 5.0},
    "ease": {"regularization": 10.0},
    "graph": {"frequencies": 8},
    "sequential": {
        "factors": 16,
        "inner": 16,
        "max_length": 8,
        "dropout": 0.1,
        "batch": 64,
        "learning_rate": 0.02,
        "average": 0.9,
        "epochs": 8,
        "quantised": False,
    },
    "two_tower": {"embedding": 16, "layers": (32, 16), "heads": 2, "batch": 32, "epochs": 20, "patience": 20},
}
"""The models held to this, with settings for sixty users where the defaults are for more."""


def settings(name: str) -> Config:
    """Return a model's settings for small data."""
    return FITTINGS[name].config(**SMALL[name])


def fit(name: str, data: FitInput) -> Retriever:
    """Fit a model on small data."""
    return FITTINGS[name].function(data, settings(name))


def needs(name: str) -> None:
    """Leave the test out where the model's extra is not installed."""
    needed = missing_extra(FITTINGS[name].extra)
    if needed is not None:
        pytest.skip(needed)


@pytest.fixture(scope="module", params=list(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of one retrieval model after the other."""
    needs(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> Retriever:
    """Return it fitted on two tastes."""
    return fit(name, fit_input(two_tastes()))


def joined(*parts: Interactions) -> Interactions:
    """Return the rows of several columns."""
    columns = ("users", "items", "timestamps", "event_types", "values")
    return Interactions(*(np.concatenate([getattr(part, one) for part in parts]) for one in columns), parts[0].names)


def spread_dense(model: Retriever, asked: UserHistory) -> np.ndarray:
    """Return the score of every item, 0 where the model has no opinion."""
    found = np.zeros(model.n_items, np.float32)
    items, scores = model.spread(asked)
    found[items] = scores
    return found


def test_saved_and_loaded_is_the_same(model: Retriever, tmp_path: Path) -> None:
    model.save(tmp_path / "deep" / "model")
    loaded = type(model).load(tmp_path / "deep" / "model")
    assert loaded.n_items == model.n_items == N_ITEMS
    assert loaded.config == model.config
    np.testing.assert_allclose(loaded.score(LIKED, EVERY), model.score(LIKED, EVERY), rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(loaded.spread(LIKED), model.spread(LIKED), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_answers_are_finite_ascending_and_of_the_catalogue(model: Retriever) -> None:
    items, scores = model.spread(LIKED)
    assert items.dtype == np.int32
    assert scores.dtype == np.float32
    assert len(items) == len(scores) > 0
    assert (np.diff(items) > 0).all()
    assert items[0] >= 0
    assert items[-1] < N_ITEMS
    assert np.isfinite(scores).all()


def test_score_is_what_spread_says(model: Retriever) -> None:
    shuffled = np.random.default_rng(0).permutation(EVERY)
    np.testing.assert_allclose(model.score(LIKED, shuffled), spread_dense(model, LIKED)[shuffled], rtol=1e-4, atol=1e-5)


def test_vectors_and_their_product_are_the_score(model: Retriever) -> None:
    vectors, vector = model.item_vectors, model.represent(LIKED)
    assert (vectors is None) == (vector is None)
    if vectors is not None and vector is not None:
        assert vectors.dtype == vector.dtype == np.float32
        assert vectors.shape == (N_ITEMS, len(vector))
        np.testing.assert_allclose(vectors @ vector, model.score(LIKED, EVERY), rtol=1e-4, atol=1e-5)


def test_a_history_is_answered_with_its_taste(model: Retriever) -> None:
    scores = spread_dense(model, LIKED)
    assert scores[3:HALF].mean() > scores[HALF : 2 * HALF].mean()


@pytest.mark.parametrize("asked", [COLD, history(NEWER, np.full(3, 3.0))], ids=["no history", "newer items alone"])
def test_a_cold_user_gets_nothing(model: Retriever, asked: UserHistory) -> None:
    assert not len(model.spread(asked)[0])
    assert not model.score(asked, EVERY).any()
    vector = model.represent(asked)
    assert vector is None or not vector.any()


def test_newer_items_have_no_score_and_change_none(model: Retriever) -> None:
    assert not model.score(LIKED, NEWER).any()
    more = history([0, N_ITEMS + 3, 1, 2], np.full(4, 3.0))
    aged = replace(more, timestamps=np.concatenate([LIKED.timestamps[:1], LIKED.timestamps]))
    np.testing.assert_allclose(model.score(aged, EVERY), model.score(LIKED, EVERY), rtol=1e-4, atol=1e-5)


def test_asking_about_nothing_answers_nothing(model: Retriever) -> None:
    assert model.score(LIKED, EVERY[:0]).shape == (0,)


def test_a_dislike_scores_lower_than_a_like(model: Retriever) -> None:
    disliking = history([0, 1, 2], np.full(3, 3.0), np.array([True, True, False]))
    mine, theirs = model.score(disliking, EVERY), model.score(LIKED, EVERY)
    assert mine[3:HALF].mean() < theirs[3:HALF].mean()


def test_the_same_seed_gives_the_same_model(name: str, model: Retriever) -> None:
    again = fit(name, fit_input(two_tastes()))
    np.testing.assert_array_equal(again.score(LIKED, EVERY), model.score(LIKED, EVERY))


def test_more_items_than_anybody_touched(name: str) -> None:
    many = fit(name, fit_input(two_tastes(), n_items=5_000))
    scores = spread_dense(many, LIKED)
    assert many.n_items == len(scores) == 5_000
    assert scores[3:HALF].mean() > max(scores[HALF : 2 * HALF].mean(), np.abs(scores[N_ITEMS:]).max())


def test_users_with_one_event_and_an_item_never_seen(name: str) -> None:
    once = rows(*((100 + item, item, "view", NOW - DAY, None) for item in range(HALF)))
    fitted = fit(name, fit_input(joined(two_tastes(), once)))
    scores = spread_dense(fitted, history([0], [3.0]))
    assert np.isfinite(scores).all()
    assert scores[1:HALF].mean() > scores[HALF : 2 * HALF].mean()


@pytest.mark.parametrize("value", [5.0, 1.0], ids=["all liked", "all disliked"])
def test_all_ratings_equal(name: str, value: float) -> None:
    views = two_tastes()
    columns = zip(views.users.tolist(), views.items.tolist(), views.timestamps.tolist(), strict=True)
    rated = rows(*((user, item, "rating", time, value) for user, item, time in columns))
    scores = spread_dense(fit(name, fit_input(rated)), LIKED)
    assert np.isfinite(scores).all()
    if value == 5.0:
        assert scores[3:HALF].mean() > scores[HALF : 2 * HALF].mean()


def test_nobody_did_anything(name: str) -> None:
    empty = fit(name, fit_input(rows()))
    assert empty.n_items == N_ITEMS
    assert not empty.score(LIKED, EVERY).any()


def test_a_bot_with_half_of_the_data_does_not_turn_the_tastes(name: str) -> None:
    views = two_tastes()
    bot = rows(*((999, item % (2 * HALF), "purchase", NOW - item, None) for item in range(len(views))))
    fitted = fit(name, fit_input(joined(views, bot), config=PreferenceConfig(max_user_weight=50.0)))
    scores = spread_dense(fitted, LIKED)
    assert scores[3:HALF].mean() > scores[HALF : 2 * HALF].mean()


def test_rows_that_repeat_do_not_turn_the_tastes(name: str) -> None:
    views = two_tastes()
    likes = replace(views, event_types=np.full(len(views), views.names.index("rating"), np.int16))
    likes = replace(likes, values=np.full(len(views), 5.0, np.float32))
    once, twice = (fit(name, fit_input(columns)) for columns in (likes, joined(likes, likes)))
    mine, theirs = (one.score(LIKED, EVERY) for one in (once, twice))
    assert np.isfinite(theirs).all()
    assert theirs[3:HALF].mean() > theirs[HALF : 2 * HALF].mean()
    assert mine.shape == theirs.shape


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.5])
def test_confidences_that_are_none_are_refused_by_name(bad: float) -> None:
    data = fit_input(two_tastes())
    confidence = data.preferences.confidence.copy()
    confidence[3] = bad
    with pytest.raises(InvalidInput, match="/preferences/confidence"):
        replace(data, preferences=replace(data.preferences, confidence=confidence))


def test_content_that_is_none_is_refused_by_name() -> None:
    data = fit_input(two_tastes())
    with pytest.raises(InvalidInput, match="/content"):
        replace(data, content=np.full((N_ITEMS, 2), np.nan, np.float32))
    with pytest.raises(InvalidInput, match="/content"):
        replace(data, content=np.zeros((N_ITEMS - 1, 2), np.float32))


def test_every_number_of_the_settings_is_bounded(name: str) -> None:
    """A setting of no number, or below 0, is refused when it is read, so that no fit has to look at it again."""
    kind = FITTINGS[name].config
    for field in msgspec.structs.fields(kind):
        if isinstance(field.default, float) and not isinstance(field.default, bool):
            with pytest.raises(msgspec.ValidationError, match=field.name):
                msgspec.convert({field.name: -1.0}, kind)

"""The sequential model learns a planted order, is served as it was trained, and goes on after an interruption."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from kindred.core.errors import BundleCorrupt, InvalidInput
from kindred.models.forms import INT8, WHOLE, fastest
from kindred.models.preference import Interactions, preferences
from kindred.models.protocol import UserHistory
from kindred.models.sequential import SequentialConfig, SequentialModel
from kindred.training.bundle import form_metrics
from kindred.training.fit.inputs import FitInput
from kindred.training.neural.sequences.loop import Trainer
from kindred.training.neural.sequential import fit_sequential

HOUR = 3_600_000
START = 1_700_000_000_000
RING = 12
N_ITEMS = RING + 1
"""Items follow one another in a ring; nobody meets the last ordinal."""
SMALL = SequentialConfig(
    factors=16, heads=2, inner=16, max_length=6, dropout=0.1, batch=64, learning_rate=0.02, average=0.9, epochs=12
)


def ring(n_users: int = 60, length: int = 8, **changes: object) -> FitInput:
    """Return users who go round the ring, an hour a step, each from another place."""
    steps = np.arange(length)
    items = ((np.arange(n_users)[:, None] + steps) % RING).ravel().astype(np.int32)
    users = np.repeat(np.arange(n_users), length).astype(np.int32)
    times = np.tile(START + HOUR * steps, n_users)
    n = len(items)
    rows = Interactions(users, items, times, np.zeros(n, np.int16), np.full(n, np.nan, np.float32), ("view",))
    rows = rows.take(np.random.default_rng(3).permutation(n))
    data = FitInput(preferences(rows, START), rows, n_users, N_ITEMS, START, threads=1)
    return replace(data, **changes)


def history(items: list[int], names: tuple[str, ...] = ("view",), positive: bool = True) -> UserHistory:
    """Return a history, newest first, an hour a step."""
    n = len(items)
    return UserHistory(
        np.array(items, np.int32),
        np.ones(n, np.float32),
        np.full(n, positive, np.bool_),
        START - HOUR * np.arange(n, dtype=np.int64),
        np.zeros(n, np.int16),
        names,
        START,
    )


@pytest.fixture(scope="module")
def model() -> SequentialModel:
    """Return the model of the ring."""
    return fit_sequential(ring(), SMALL)


@pytest.mark.parametrize("last", [0, 5, 11])
def test_what_follows_in_the_data_is_first(model: SequentialModel, last: int) -> None:
    walked = [(last - step) % RING for step in range(4)]
    items, scores = model.spread(history(walked))
    unseen = ~np.isin(items, walked)
    assert items[unseen][scores[unseen].argmax()] == (last + 1) % RING


def test_a_vector_of_the_history_scores_all_items(model: SequentialModel) -> None:
    asked = history([3, 2])
    vector = model.represent(asked)
    assert vector.shape == (SMALL.factors,)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(
        model.score(asked, np.array([4, N_ITEMS, -1], np.int32)), [model.item_vectors[4] @ vector, 0, 0]
    )


def test_who_liked_nothing_known_has_no_vector(model: SequentialModel) -> None:
    for asked in (history([]), history([N_ITEMS - 1]), history([N_ITEMS + 7]), history([3], positive=False)):
        assert not model.represent(asked).any()
        assert not len(model.spread(asked)[0])
    assert not model.item_vectors[N_ITEMS - 1].any()


def test_unknown_items_and_event_types_change_nothing(model: SequentialModel) -> None:
    plain = model.represent(history([3, 2]))
    asked = replace(history([N_ITEMS + 7, 3, 2]), timestamps=START - HOUR * np.array([0, 0, 1]))
    np.testing.assert_array_equal(model.represent(asked), plain)
    assert np.isfinite(model.represent(history([3, 2], names=("never_met",)))).all()


def test_only_the_latest_items_are_read(model: SequentialModel) -> None:
    long = [step % RING for step in range(10, 0, -1)]
    np.testing.assert_array_equal(model.represent(history(long)), model.represent(history(long[: SMALL.max_length])))


def test_load_gives_back_what_was_saved(model: SequentialModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = SequentialModel.load(tmp_path)
    names = ("config", "event_types", "passes", "device", "forms")
    assert [getattr(loaded, name) for name in names] == [getattr(model, name) for name in names]
    np.testing.assert_array_equal(loaded.represent(history([3, 2])), model.represent(history([3, 2])))
    assert not loaded.item_vectors.flags.writeable
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleCorrupt, match="encoder"):
        SequentialModel.load(tmp_path)


def test_the_fastest_form_that_finds_nearly_as_much_is_served(model: SequentialModel) -> None:
    assert [form.name for form in model.forms] == [WHOLE, INT8]
    assert model.forms[0].ndcg > 0.3, "the ring was not learnt"
    assert len(model.encoder.data) == fastest(model.forms).size
    full = fit_sequential(ring(), msgspec.structs.replace(SMALL, quantised=False))
    np.testing.assert_array_equal(full.item_vectors, model.item_vectors)
    assert [form.size for form in full.forms] == [model.forms[0].size] == [len(full.encoder.data)]


def test_the_forms_are_among_a_bundles_metrics(model: SequentialModel) -> None:
    found = form_metrics(SimpleNamespace(retrievers={"sequential": model, "als": object()}), None)
    assert found["sequential.int8.bytes"] == model.forms[1].size
    assert found["sequential.float32.served"] + found["sequential.int8.served"] == 1
    assert all(name.startswith("sequential.") for name in found)


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    model: SequentialModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(self: Trainer, *_: object) -> float:
        if self.passes == 3:
            raise KeyboardInterrupt
        return one_pass(self, *_)

    one_pass = Trainer.one_pass
    monkeypatch.setattr(Trainer, "one_pass", dies)
    with pytest.raises(KeyboardInterrupt):
        fit_sequential(ring(work=tmp_path), SMALL)
    monkeypatch.setattr(Trainer, "one_pass", one_pass)
    said: list[str] = []
    resumed = fit_sequential(ring(work=tmp_path, progress=said.append), SMALL)
    np.testing.assert_array_equal(resumed.item_vectors, model.item_vectors)
    assert any("pass 4" in line for line in said)
    assert not any("pass 3" in line for line in said)


def test_the_device_is_said(model: SequentialModel) -> None:
    assert model.device.startswith(("cpu", "NVIDIA"))


def test_users_of_one_item_give_a_model_that_can_be_asked() -> None:
    found = fit_sequential(ring(length=1), SMALL)
    assert found.passes == 0
    assert np.isfinite(found.represent(history([1]))).all()


def test_heads_divide_factors() -> None:
    with pytest.raises(InvalidInput, match="heads"):
        fit_sequential(ring(), msgspec.structs.replace(SMALL, heads=3))

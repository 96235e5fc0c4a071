"""The two towers learn planted tastes, give new items a vector, stop early, and go on after an interruption."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.unit.training.tastes import DAY, GROUPS, START, tastes

from kindred.core.errors import BundleCorrupt
from kindred.models.content import ContentConfig, ContentModel
from kindred.models.preference import preferences
from kindred.models.protocol import UserHistory
from kindred.models.two_tower import TwoTowerConfig, TwoTowerModel
from kindred.training.dataset import Dataset
from kindred.training.fit.content import fit_content
from kindred.training.fit.inputs import FitInput
from kindred.training.neural import two_tower
from kindred.training.neural.two_tower import fit_two_tower

SMALL = TwoTowerConfig(embedding=16, layers=(32, 16), heads=2, batch=64, negatives=8, epochs=4, learning_rate=0.01)
NEW = 39
AS_OF = START + 20 * DAY


def fit_input(dataset: Dataset, **changes: object) -> FitInput:
    """Return what the models of a dataset are fitted on."""
    content = fit_content(dataset.texts(), ContentConfig(dimensions=8))
    return replace(
        FitInput(
            preferences(dataset.interactions, AS_OF),
            dataset.interactions,
            dataset.n_users,
            dataset.n_items,
            AS_OF,
            content.item_vectors,
            threads=1,
        ),
        **changes,
    )


def without(dataset: Dataset, item: int) -> Dataset:
    """Return the dataset in which nobody met an item."""
    return dataset.with_rows(dataset.interactions.items != item)


def history(items: list[int], positive: bool = True) -> UserHistory:
    """Return a history of purchases, newest first."""
    n = len(items)
    return UserHistory(
        np.array(items, np.int32),
        np.full(n, 3, np.float32),
        np.full(n, positive, np.bool_),
        AS_OF - DAY * np.arange(n, dtype=np.int64),
        np.zeros(n, np.int16),
        ("purchase",),
        AS_OF,
    )


@pytest.fixture(scope="module")
def fitted() -> TwoTowerModel:
    return fit_two_tower(fit_input(without(tastes(), NEW)), SMALL)


def test_tastes_are_found_for_warm_and_for_new_items(fitted: TwoTowerModel) -> None:
    for group in range(GROUPS):
        mine = history([group, group + 2, group + 4])
        scores = fitted.score(mine, np.arange(40, dtype=np.int32))
        of_group = np.arange(40) % GROUPS == group
        assert scores[of_group].mean() > scores[~of_group].mean() + 0.3
        # Nobody met it; its text is that of its group.
        assert (scores[NEW] > scores[~of_group if group == NEW % GROUPS else of_group].mean()) == (
            group == NEW % GROUPS
        )


def test_a_disliked_history_represents_nobody_and_moves_a_liked_one(fitted: TwoTowerModel) -> None:
    assert not fitted.represent(history([0, 2], positive=False)).any()
    assert not fitted.represent(history([])).any()
    assert not fitted.represent(history([4_000, -1])).any()
    items, scores = fitted.spread(history([]))
    assert len(items) == len(scores) == 0
    mixed = replace(history([0, 1]), positive=np.array([True, False]))
    assert not np.allclose(fitted.represent(mixed), fitted.represent(history([0])))


def test_an_event_type_that_training_never_met_is_taken_as_unknown(fitted: TwoTowerModel) -> None:
    mine = history([0, 2])
    other = replace(mine, names=("wave",))
    none = replace(mine, names=(), event_types=np.empty(0, np.int16))
    np.testing.assert_array_equal(fitted.represent(other), fitted.represent(none))
    assert not np.array_equal(fitted.represent(mine), fitted.represent(other))


def test_content_that_was_saved_and_mapped_again_is_learnt_from(tmp_path: Path) -> None:
    """A training hands its steps what stands in the work folder, where content vectors take half the bytes."""
    dataset, config = tastes(), msgspec.structs.replace(SMALL, epochs=1)
    content = fit_content(dataset.texts(), ContentConfig(dimensions=8))
    content.save(tmp_path)
    data = fit_input(dataset, content=ContentModel.load(tmp_path).item_vectors)
    rounded = fit_input(dataset, content=content.item_vectors.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(
        fit_two_tower(data, config).item_vectors, fit_two_tower(rounded, config).item_vectors, strict=True
    )


def test_the_graph_serves_what_training_saw(fitted: TwoTowerModel) -> None:
    data = fit_input(without(tastes(), NEW))
    training = two_tower._begin(data, SMALL)
    rows = training.examples.train[:5]
    inputs = training.examples.inputs(rows)
    past = training.examples.histories
    for place, row in enumerate(rows.tolist()):
        start = past.offsets[np.searchsorted(past.offsets, row, side="right") - 1]
        back = np.arange(row - 1, start - 1, -1)
        mine = UserHistory(
            past.items[back],
            past.confidence[back],
            past.positive[back],
            past.timestamps[back],
            np.zeros(len(back), np.int16),
            ("purchase",),
            int(past.timestamps[row]),
        )
        graph = {"vectors": fitted.history_vectors[inputs.items], **inputs.columns()}
        whole = fitted.tower.run(graph)[0][place]
        np.testing.assert_allclose(fitted.represent(mine), whole, atol=1e-5)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the user tower unexported, where nobody asks it."""
    monkeypatch.setattr(two_tower, "_graph", lambda training: None)


@pytest.mark.usefixtures("no_export")
def test_training_stops_when_it_finds_no_more(fitted: TwoTowerModel) -> None:
    assert 1 <= len(fitted.epochs) <= SMALL.epochs
    assert max(each.ndcg for each in fitted.epochs) > 0.2
    heard: list[str] = []
    stuck = replace_config(learning_rate=1e-9, patience=1, epochs=9)
    model = fit_two_tower(fit_input(tastes(), progress=heard.append), stuck)
    assert len(model.epochs) < 9
    assert heard[0].startswith("two_tower: ")
    assert "ndcg@20" in heard[1]


def replace_config(**changes: object) -> TwoTowerConfig:
    """Return the small configuration with changes."""
    return msgspec.structs.replace(SMALL, **changes)


@pytest.mark.usefixtures("no_export")
def test_an_interrupted_training_goes_on_to_the_same_model(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: str) -> None:
        if "epoch 2" in step:
            raise Killed

    config = replace_config(epochs=2, patience=9)
    with pytest.raises(Killed):
        fit_two_tower(fit_input(tastes(), work=tmp_path, progress=kill), config)
    heard: list[str] = []
    resumed = fit_two_tower(fit_input(tastes(), work=tmp_path, progress=heard.append), config)
    assert next(line for line in heard if "epoch" in line).startswith("two_tower: epoch 2")
    whole = fit_two_tower(fit_input(tastes()), config)
    np.testing.assert_allclose(resumed.item_vectors, whole.item_vectors, atol=1e-6)
    for path in tmp_path.iterdir():
        path.write_bytes(b"cut")
    again = fit_two_tower(fit_input(tastes(), work=tmp_path), config)
    np.testing.assert_array_equal(again.item_vectors, whole.item_vectors)


@pytest.mark.parametrize("users", [0, 1, 3])
def test_hardly_anything_to_learn_from_still_makes_a_model(users: int, tmp_path: Path) -> None:
    data = fit_input(tastes(users=max(users, 1), each=1 if users < 2 else 4))
    if not users:
        none = np.zeros(len(data.preferences), np.bool_)
        data = replace(data, preferences=data.preferences.take(none), interactions=data.interactions.take(none[:0]))
    model = fit_two_tower(data, replace_config(epochs=1))
    model.save(tmp_path)
    assert np.isfinite(TwoTowerModel.load(tmp_path).score(history([0]), np.arange(3, dtype=np.int32))).all()


def test_saved_and_loaded_it_says_the_same_and_damage_is_said(fitted: TwoTowerModel, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    loaded = TwoTowerModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.represent(history([1, 3])), fitted.represent(history([1, 3])))
    assert (loaded.config, loaded.epochs, loaded.device) == (fitted.config, fitted.epochs, fitted.device)
    for path in list(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole.rstrip(bytes(1))) // 2])
        with pytest.raises(BundleCorrupt, match=path.stem):
            TwoTowerModel.load(tmp_path)
        path.write_bytes(whole)


SERVING = """
import sys
import numpy as np
from pathlib import Path
from kindred.models.protocol import UserHistory
from kindred.models.retrieval import open_retriever

model = open_retriever("two_tower", Path(sys.argv[1]))
one = np.ones(1)
history = UserHistory(one.astype(np.int32), one.astype(np.float32), one > 0, one.astype(np.int64))
assert model.represent(history).any()
print(sorted({"torch", "onnx", "onnxscript", "sklearn"} & set(sys.modules)), "onnxruntime" in sys.modules)
"""


def test_a_server_opens_and_asks_it_without_torch(fitted: TwoTowerModel, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    said = subprocess.run([sys.executable, "-c", SERVING, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[0] == "[] True"

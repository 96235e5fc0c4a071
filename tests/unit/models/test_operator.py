"""Lists of a catalogue most of which nobody touched: they are stored alone, and answer as whole arrays would."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.data import history

from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import save_array
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.models.layers import Layers, save_patch

K = 4


def sparse(n_items: int, filled: int, draw: np.random.Generator) -> ItemItemModel:
    """Return a model in which `filled` items have lists."""
    neighbours = np.full((n_items, K), -1, np.int32)
    similarities = np.zeros((n_items, K), np.float32)
    for row in draw.permutation(n_items)[:filled]:
        length = draw.integers(1, K + 1)
        neighbours[row, :length] = draw.permutation(n_items)[:length]
        similarities[row, :length] = -np.sort(-draw.random(length, np.float32))
    return ItemItemModel(neighbours, similarities, ItemItemConfig(neighbours=K))


def assert_same(model: ItemItemModel, other: ItemItemModel) -> None:
    """Both answer alike."""
    assert model.n_items == other.n_items
    every = np.arange(-1, model.n_items + 2, dtype=np.int32)
    asked = history(every, np.linspace(0.5, 3, len(every)).astype(np.float32))
    for item in every.tolist():
        for one, two in zip(model.similar(item, K), other.similar(item, K), strict=True):
            np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(model.score(asked, every), other.score(asked, every))
    for one, two in zip(model.anchors(asked, every), other.anchors(asked, every), strict=True):
        np.testing.assert_array_equal(one, two)


@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_lists_stored_alone_answer_as_whole_arrays(tmp_path_factory, n_items: int, share: float, seed: int) -> None:
    model = sparse(n_items, int(share * n_items), np.random.default_rng(seed))
    folder = tmp_path_factory.mktemp("lists")
    model.save(folder)
    loaded = ItemItemModel.load(folder)
    assert_same(model, loaded)
    filled = int((model.neighbours[:, 0] >= 0).sum())
    assert len(loaded.neighbours) == (n_items if 2 * filled >= n_items else filled + 1)
    loaded.save(folder / "again")
    assert_same(model, ItemItemModel.load(folder / "again"))


def test_deltas_change_lists_bring_new_ones_and_add_items(tmp_path: Path) -> None:
    model = sparse(40, 10, np.random.default_rng(7))
    model.save(tmp_path / "base")
    kept, empty = np.flatnonzero(model.neighbours[:, 0] >= 0), np.flatnonzero(model.neighbours[:, 0] < 0)
    rows = np.sort(np.array([kept[2], empty[3], empty[5], 42], np.int32))
    neighbours, similarities = np.full((4, K), -1, np.int32), np.zeros((4, K), np.float32)
    neighbours[:, 0], similarities[:, 0] = [1, 2, 3, 4], [0.9, 0.8, 0.7, 0.6]
    save_patch(tmp_path / "delta", "neighbours", rows, neighbours)
    # Where the list stays and only what it counts for changes, one array is patched.
    save_patch(tmp_path / "delta", "similarities", rows[1:], similarities[1:])
    model.save_meta(tmp_path / "delta", 44)
    whole_neighbours, whole_similarities = np.full((44, K), -1, np.int32), np.zeros((44, K), np.float32)
    whole_neighbours[:40], whole_similarities[:40] = model.neighbours, model.similarities
    whole_neighbours[rows], whole_similarities[rows[1:]] = neighbours, similarities[1:]
    loaded = ItemItemModel.load(Layers(tmp_path / "base", (tmp_path / "delta",)))
    assert_same(ItemItemModel(whole_neighbours, whole_similarities, model.config), loaded)
    assert len(loaded.neighbours) == 11 + 3


def test_a_place_beyond_the_lists_is_said(tmp_path: Path) -> None:
    sparse(40, 10, np.random.default_rng(7)).save(tmp_path)
    places = np.zeros(40, np.int32)
    places[3] = 11
    save_array(tmp_path, "places", places)
    with pytest.raises(BundleCorrupt, match=r"places\.npy"):
        ItemItemModel.load(tmp_path)

"""Arrays of a base with later rows over them: what changed, what did not, what is damaged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.models.layers import Layers, changed_rows, save_patch


def base(folder: Path, rows: int = 5, room: bool = True) -> Path:
    save_array(folder / "base", "values", np.arange(rows * 3, dtype=np.float32).reshape(rows, 3), room=room)
    return folder / "base"


@pytest.mark.parametrize("room", [True, False])
def test_deltas_lie_over_one_another_in_order(tmp_path: Path, room: bool) -> None:
    first, second = tmp_path / "d1", tmp_path / "d2"
    save_patch(first, "values", np.array([1, 6], np.int32), np.full((2, 3), 7, np.float32))
    save_patch(second, "values", np.array([1], np.int32), np.full((1, 3), 9, np.float32))
    layers = Layers(base(tmp_path, room=room), (first, second))
    before = (layers.base / "values.npy").read_bytes()
    found = load_array(layers, "values", np.float32, (8, 3), -1)
    assert found[1].tolist() == [9, 9, 9]
    assert found[6].tolist() == [7, 7, 7]
    assert found[5].tolist() == found[7].tolist() == [-1, -1, -1]
    assert (
        found[[0, 2, 3, 4]].tobytes() == load_array(layers.base, "values", np.float32, (5, 3))[[0, 2, 3, 4]].tobytes()
    )
    assert layers.changed("values").tolist() == [1, 6]
    assert not found.flags.writeable
    assert (layers.base / "values.npy").read_bytes() == before, "the base was written to"


def test_a_grown_array_is_mapped_and_not_copied_while_there_is_room(tmp_path: Path) -> None:
    delta = tmp_path / "d1"
    save_patch(delta, "values", np.array([6], np.int32), np.zeros((1, 3), np.float32))
    roomy = load_array(Layers(base(tmp_path / "a"), (delta,)), "values", np.float32, (8, 3))
    tight = load_array(Layers(base(tmp_path / "b", room=False), (delta,)), "values", np.float32, (8, 3))
    assert isinstance(roomy.base, np.memmap)
    assert not isinstance(tight.base, np.memmap)


def test_a_whole_file_of_a_delta_replaces_what_lies_below(tmp_path: Path) -> None:
    first, second = tmp_path / "d1", tmp_path / "d2"
    save_patch(first, "values", np.array([0], np.int32), np.full((1, 3), 7, np.float32))
    save_array(second, "values", np.ones((2, 3), np.float32))
    save_json(second, "facts", {"n": 2})
    layers = Layers(base(tmp_path), (first, second))
    assert load_array(layers, "values", np.float32, (None, 3)).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert load_json(layers, "facts", dict[str, int]) == {"n": 2}


@pytest.mark.parametrize("damage", ["cut", "descending", "beyond", "width"])
def test_a_damaged_patch_is_said(tmp_path: Path, damage: str) -> None:
    delta, rows, values = tmp_path / "d1", np.array([1, 2], np.int32), np.zeros((2, 3), np.float32)
    if damage == "descending":
        rows = rows[::-1]
    if damage == "beyond":
        rows = rows + 9
    if damage == "width":
        values = values[:, :2]
    save_patch(delta, "values", rows, values)
    if damage == "cut":
        (delta / "values.rows.npy").write_bytes(b"")
    with pytest.raises(BundleCorrupt, match="values"):
        load_array(Layers(base(tmp_path), (delta,)), "values", np.float32, (5, 3))


@given(st.integers(0, 6), st.integers(0, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_changed_rows_are_those_that_differ(known: int, asked: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    before = chance.integers(0, 2, (known, 2)).astype(np.float32)
    rows = np.sort(chance.choice(12, asked, replace=False)).astype(np.int32)
    after = chance.integers(0, 2, (asked, 2)).astype(np.float32)
    expected = [
        not np.array_equal(after[n], before[row] if row < known else np.zeros(2)) for n, row in enumerate(rows.tolist())
    ]
    assert changed_rows(before, after, rows, 0).tolist() == expected


def test_what_is_no_number_is_compared_by_its_bits() -> None:
    before = np.array([np.nan, 1.0], np.float32)
    assert changed_rows(before, np.array([np.nan, np.nan], np.float32), np.array([0, 1], np.int32), 0).tolist() == [
        False,
        True,
    ]

"""Lists of what items are like, as a bundle holds them."""

from pathlib import Path

import numpy as np
import pytest

from kindred.core.errors import BundleCorrupt
from kindred.models.content_lists import ContentLists

NONE = np.empty(0, np.int32)


def saved(folder: Path) -> ContentLists:
    lists = ContentLists(np.array([1, 4, 6], np.int32), np.array([[4, 6], [1, -1], [-1, -1]], np.int32))
    lists.save(folder)
    return lists


def test_a_list_is_read_as_it_was_saved(tmp_path: Path) -> None:
    saved(tmp_path)
    lists = ContentLists.load(tmp_path, np.array([4], np.int32))
    found = [lists.of(item) for item in range(8)]
    assert [None if each is None else each.tolist() for each in found] == [
        *(None, [4, 6], None, None),
        *(None, None, [], None),
    ]


@pytest.mark.parametrize("damage", ["lists.json", "items.npy", "neighbours.npy", "order", "shape"])
def test_a_damaged_list_is_corrupt(tmp_path: Path, damage: str) -> None:
    saved(tmp_path)
    if damage == "order":
        np.save(tmp_path / "items.npy", np.array([4, 1, 6], np.int32))
    elif damage == "shape":
        np.save(tmp_path / "neighbours.npy", np.zeros((2, 2), np.int32))
    else:
        (tmp_path / damage).unlink()
    with pytest.raises(BundleCorrupt, match=str(tmp_path)):
        ContentLists.load(tmp_path, NONE)

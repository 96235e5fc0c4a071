"""The table as a bundle holds it: mapped, private to each process, and refused where it is damaged."""

import numpy as np
import pytest

from kindred.core.errors import BundleCorrupt
from kindred.core.item import CatalogItem, Item
from kindred.recommend.item_table import ItemTable

SIZE = 40


def _change(ordinal: int, seq: int, **fields) -> CatalogItem:
    return CatalogItem(ordinal=ordinal, seq=seq, listed=True, item=Item(item_id=str(ordinal), **fields))


@pytest.fixture
def folder(tmp_path):
    ItemTable.of(_change(o, o + 1, categories=["a"], tags=["x"], price=1.0) for o in range(SIZE)).save(tmp_path)
    return tmp_path


def test_what_changes_stays_in_the_process(folder):
    table = ItemTable.open(folder)
    # Beyond the room behind the arrays' ends too.
    table.apply([_change(3, 41, categories=["b"]), _change(9_000, 42, categories=["a"], price=2.5)])
    assert table.in_categories(["a"]).bits.ordinals().tolist() == [o for o in range(SIZE) if o != 3] + [9_000]
    assert table.attributes().price[[4, 9_000]].tolist() == [1.0, 2.5]
    assert not table.available(0).bits.has(np.array([8_999])).any()
    again = ItemTable.open(folder)
    assert (again.size, again.seq) == (SIZE, SIZE)
    assert again.in_categories(["a"]).bits.count == SIZE


def test_names_that_come_later_are_known(folder):
    table = ItemTable.open(folder)
    table.apply([_change(3, 41, categories=["Later", "a"], tags=["X", "y"])])
    table.settle()
    assert table.category_of(3) == "Later"
    assert table.in_categories(["later"]).bits.ordinals().tolist() == [3]
    assert table.with_tags(["x"]).bits.count == SIZE
    assert table.attributes().names.rarity.tolist() == pytest.approx([0.0, np.log((SIZE + 1) / 2)])


@pytest.mark.parametrize("name", ["stock.npy", "edge_times.npy", "tags/item_values.npy", "tags/name_offsets.npy"])
def test_a_damaged_file_is_named(folder, name):
    np.save(folder / name, np.zeros((3, 2), np.int16))
    with pytest.raises(BundleCorrupt, match=name.split("/")[-1]):
        ItemTable.open(folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:90])
    with pytest.raises(BundleCorrupt, match=name.split("/")[-1]):
        ItemTable.open(folder)
    (folder / name).unlink()
    with pytest.raises(BundleCorrupt, match=name.split("/")[-1]):
        ItemTable.open(folder)

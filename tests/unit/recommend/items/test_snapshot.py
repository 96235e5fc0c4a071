"""The table as a bundle holds it: mapped, private to each process, and refused where it is damaged."""

import shutil
import tracemalloc

import numpy as np
import pytest

from kindred.core.errors import BundleCorrupt
from kindred.core.item import CatalogItem, Item
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items import attributes
from kindred.recommend.items.attributes import Attributes

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


class Feed:
    """A catalogue's feed that says from where it was read."""

    def __init__(self, *changes: CatalogItem) -> None:
        self.changes, self.read = changes, []

    async def changes_since(self, seq: int, limit: int) -> list[CatalogItem]:
        self.read.append(seq)
        return [each for each in self.changes if each.seq > seq]


def _described(ordinal: int, seq: int | None = None) -> CatalogItem:
    attributes = {"size": ordinal, "brand": {"name": f"B{ordinal % 3}"}, "kinds": ["x", 2, True][: ordinal % 4]}
    attributes |= {"sold": ordinal % 2 == 0} if ordinal > 10 else {}
    return _change(ordinal, ordinal + 1 if seq is None else seq, attributes=attributes)


NAMES = [("attributes", *name.split(".")) for name in ("size", "brand.name", "kinds", "sold", "later", "never")]


def _asked(attributes: Attributes, size: int) -> list[list[bool]]:
    sizes, brand, kinds, sold, later = (attributes.column(parts) for parts in NAMES[:5])
    return [
        *(column.has(None, size).tolist() for column in (sizes, brand, kinds, sold, later)),
        sizes.ordered(">", 20.0, None, size).tolist(),
        brand.within(["b1"], None, size).tolist(),
        *(kinds.contains(part, None, size).tolist() for part in ("X", 2.0, True)),
        sold.within([True], None, size).tolist(),
    ]


async def test_attributes_are_mapped_and_what_changed_since_is_read(tmp_path):
    before = [_described(o) for o in range(SIZE)]
    ItemTable.of(before, attributes=True).save(tmp_path)
    # An item that has changed, a new attribute, and items that are new.
    after = [_described(8, 41), _change(3, 42, attributes={"later": "x"}), _described(SIZE, 43), _described(2_000, 44)]
    table, feed = ItemTable.open(tmp_path), Feed(*before, *after)
    table.apply(after[:3])
    assert await table.metadata.read(NAMES, feed, lambda: table.seq)
    table.apply(after[3:])
    whole = ItemTable.of([*before, *after])
    assert await whole.metadata.read(NAMES, Feed(*before, *after), lambda: whole.seq)
    assert _asked(table.metadata, table.size) == _asked(whole.metadata, whole.size)
    assert table.metadata.known == whole.metadata.known
    assert min(feed.read) == SIZE


async def test_attributes_that_are_not_mapped_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(attributes, "MOST_WORDS", 2)
    items = [_described(o) for o in range(SIZE)]
    for folder in (tmp_path / "a", tmp_path / "b"):
        table = ItemTable.of(items[:20], attributes=True)
        table.apply(items[20:])
        table.save(folder)
    for name, folder in ((NAMES[1], "a"), (NAMES[0], "b")):
        table, feed = ItemTable.open(tmp_path / folder), Feed(*items)
        if folder == "b":
            shutil.rmtree(tmp_path / folder)
        assert await table.metadata.read([name], feed, lambda table=table: table.seq)
        assert table.metadata.column(name).has(None, SIZE).all()
        assert min(feed.read) == 0


async def test_a_column_holds_all_items_since_its_attribute_was_first_met_or_is_not_stored(tmp_path, monkeypatch):
    """A place that an attribute of too many texts leaves is for those that no earlier item has."""
    monkeypatch.setattr(attributes, "MOST_STORED", 2)
    monkeypatch.setattr(attributes, "MOST_WORDS", 3)
    table = ItemTable.of([_change(o, o + 1, attributes=_words(o)) for o in range(4)], attributes=True)
    table.apply([_change(o, o + 1, attributes=_words(o)) for o in range(4, 8)])
    table.save(tmp_path)
    feed = Feed(*(_change(o, o + 1, attributes=_words(o)) for o in range(8)))
    for name, expected, start in (("colour", [True] * 8, 0), ("late", [False] * 4 + [True] * 4, 8)):
        parts, opened = ("attributes", name), ItemTable.open(tmp_path)
        feed.read.clear()
        assert await opened.metadata.read([parts], feed, lambda opened=opened: opened.seq)
        assert opened.metadata.column(parts).within(["red"], None, 8).tolist() == expected
        assert min(feed.read) == start


def _words(ordinal: int) -> dict[str, object]:
    return {"id": f"x{ordinal}", "size": 1, "colour": "red"} | ({"late": "red"} if ordinal >= 4 else {})


async def test_a_new_item_copies_no_mapped_column(tmp_path):
    """Its row is in the room behind the items of the bundle, where nothing is known of those that were skipped."""
    size = 200_000
    kinds = [{"size": float(o), "name": "ab"[o % 2], "parts": ["x"]} for o in range(2)]
    ItemTable.of((_change(o, o + 1, attributes=kinds[o % 2]) for o in range(size)), attributes=True).save(tmp_path)
    table, feed = ItemTable.open(tmp_path), Feed()
    names = [("attributes", name) for name in ("size", "name", "parts")]
    assert await table.metadata.read(names, feed, lambda: table.seq)
    tracemalloc.start()
    table.metadata.apply({size + 2: Item(item_id="new", attributes=kinds[1])})
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < size
    columns = [table.metadata.column(name) for name in names]
    new = np.array([size, size + 1, size + 2], np.int32)
    assert [column.has(new, size + 3).tolist() for column in columns] == [[False, False, True]] * 3
    assert columns[0].ordered("<", 9.0, new, size + 3).tolist() == [False, False, True]
    assert columns[1].within(["a"], new, size + 3).tolist() == [False] * 3


async def test_columns_that_outgrow_their_memory_are_dropped(tmp_path):
    """What new items add counts: the column that was not asked for the longest goes first."""
    ItemTable.of((_described(o) for o in range(SIZE)), attributes=True).save(tmp_path)
    table, feed = ItemTable.open(tmp_path), Feed()
    table.metadata = Attributes.open(tmp_path / "attributes", 40_000)
    assert await table.metadata.read(NAMES[:2], feed, lambda: table.seq)
    table.metadata.column(NAMES[0])
    table.metadata.apply({4_000: Item(item_id="far", attributes={"size": 1.0})})
    assert table.metadata.column(NAMES[0]).has(np.array([4_000], np.int32), 4_001).tolist() == [True]
    with pytest.raises(KeyError):
        table.metadata.column(NAMES[1])


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

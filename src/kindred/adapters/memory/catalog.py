"""The catalogue in this process's memory."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import msgspec

from kindred.core.item import CatalogItem, Item
from kindred.ports.resource import Capabilities


async def open_catalog(location: str, home: Path) -> "MemoryCatalog":
    """Open an empty catalogue; `location` and `home` are of no account."""
    return MemoryCatalog()


class MemoryCatalog:
    """A CatalogStore that ends with the process: for tests and for replays."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._items: list[CatalogItem] = []
        self._ordinals: dict[str, int] = {}
        self._sorted: list[str] | None = None
        self._feed: OrderedDict[int, None] = OrderedDict()
        self._seq = 0

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def upsert(self, items: Sequence[Item], now: int) -> list[int]:
        """Create or replace items (listed from then on) and return their ordinals; of equal ids the last one wins."""
        latest = {item.item_id: _copy(item) for item in items}
        for item_id, item in latest.items():
            ordinal = self._ordinals.get(item_id)
            known = None if ordinal is None else self._items[ordinal]
            if known is None or not known.listed or known.item != item:
                self._put(item, listed=True, now=now)
        return [self._ordinals[item.item_id] for item in items]

    async def resolve(self, item_ids: Sequence[str], now: int) -> list[int]:
        """Return the ordinals of ids, reserving one (unlisted) for an id not seen before."""
        for item_id in item_ids:
            if item_id not in self._ordinals:
                self._put(Item(item_id=item_id), listed=False, now=now)
        return [self._ordinals[item_id] for item_id in item_ids]

    async def delete(self, item_ids: Sequence[str], now: int) -> int:
        """Unlist items, keeping their ordinals and what was known of them; return how many were listed."""
        known = [self._items[self._ordinals[each]] for each in dict.fromkeys(item_ids) if each in self._ordinals]
        listed = [each for each in known if each.listed]
        for each in listed:
            self._put(each.item, listed=False, now=now)
        return len(listed)

    async def get(self, item_ids: Sequence[str]) -> list[CatalogItem | None]:
        """Return what is known under each id, in order."""
        return [self._items[self._ordinals[each]] if each in self._ordinals else None for each in item_ids]

    async def by_ordinals(self, ordinals: Sequence[int]) -> list[CatalogItem | None]:
        """Return what stands at each ordinal, in order."""
        return [self._items[each] if 0 <= each < len(self._items) else None for each in ordinals]

    async def page(self, after: str, limit: int) -> list[CatalogItem]:
        """Return listed items in order of id (by code point), behind `after`."""
        if self._sorted is None:
            self._sorted = sorted(self._ordinals)
        found: list[CatalogItem] = []
        for item_id in self._sorted[bisect_right(self._sorted, after) :]:
            if len(found) >= limit:
                break
            item = self._items[self._ordinals[item_id]]
            if item.listed:
                found.append(item)
        return found

    async def changes_since(self, seq: int, limit: int) -> list[CatalogItem]:
        """Return items whose last change is behind `seq`, in order of their sequence numbers, unlisted ones too."""
        newest_first = (self._items[ordinal] for ordinal in reversed(self._feed))
        changes = list(takewhile(lambda each: each.seq > seq, newest_first))
        return changes[::-1][: max(limit, 0)]

    def _put(self, item: Item, *, listed: bool, now: int) -> None:
        """Store an item under the next sequence number, with a new ordinal when its id is new."""
        self._seq += 1
        ordinal = self._ordinals.setdefault(item.item_id, len(self._items))
        stored = CatalogItem(ordinal=ordinal, seq=self._seq, listed=listed, item=item, updated=now)
        if ordinal == len(self._items):
            self._items.append(stored)
            self._sorted = None
        else:
            self._items[ordinal] = stored
        self._feed[ordinal] = None
        self._feed.move_to_end(ordinal)


def _copy(item: Item) -> Item:
    """Return what a store that writes JSON would give back, sharing nothing with the caller's attributes."""
    return msgspec.json.decode(msgspec.json.encode(item), type=Item)

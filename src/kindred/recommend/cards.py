"""Cards: catalogue items as answers show them, the latest asked for kept decoded."""

from collections.abc import Iterable, Sequence
from itertools import islice

from kindred.core.item import CatalogItem
from kindred.ports.catalog import CatalogStore

KEPT = 20_000
"""Items kept decoded, one to two KB each; of a large catalogue most answers hold some that are seldom shown."""
WARM = 2_000
"""How many of the most popular items are kept from the start, so that answers go on while the catalogue is away."""


class Cards:
    """Reads items by ordinal through a bounded memory, the longest unused dropped first.

    Whoever follows the catalogue's feed calls `forget` for what has changed.
    """

    def __init__(self, catalog: CatalogStore, kept: int = KEPT) -> None:
        """Read from `catalog` and keep up to `kept` items."""
        self._catalog = catalog
        self._size = kept
        self._kept: dict[int, CatalogItem] = {}
        self._changes = 0

    async def of(self, ordinals: Iterable[int]) -> dict[int, CatalogItem]:
        """Return what stands at each ordinal; one that the catalogue does not know is left out."""
        found: dict[int, CatalogItem] = {}
        missing: list[int] = []
        for ordinal in dict.fromkeys(ordinals):
            card = self._kept.pop(ordinal, None)
            if card is None:
                missing.append(ordinal)
            else:
                found[ordinal] = self._kept[ordinal] = card
        if missing:
            before = self._changes
            read = await self._catalog.by_ordinals(missing)
            fresh = {card.ordinal: card for card in read if card is not None}
            found.update(fresh)
            # What was read before a change must not be kept after it.
            if before == self._changes:
                self._keep(fresh)
        return found

    def kept(self, ordinals: Iterable[int]) -> dict[int, CatalogItem]:
        """Return those items that need no reading."""
        return {ordinal: self._kept[ordinal] for ordinal in ordinals if ordinal in self._kept}

    async def in_order(self, ordinals: Sequence[int]) -> list[CatalogItem | None]:
        """Return what stands at each ordinal, in order."""
        found = await self.of(ordinals)
        return [found.get(ordinal) for ordinal in ordinals]

    def forget(self, ordinals: Iterable[int]) -> None:
        """Drop items that have changed."""
        self._changes += 1
        for ordinal in ordinals:
            self._kept.pop(ordinal, None)

    def _keep(self, fresh: dict[int, CatalogItem]) -> None:
        self._kept.update(fresh)
        for ordinal in list(islice(self._kept, max(len(self._kept) - self._size, 0))):
            del self._kept[ordinal]

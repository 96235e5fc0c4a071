"""What is near to items, kept in memory for as long as neither the bundle nor the catalogue changes."""

from dataclasses import dataclass, field

from kindred.core.candidates import Floats, Ordinals
from kindred.core.item import CatalogItem

ITEMS = 4_096
"""Items whose neighbours are kept: some 10 MiB of them, 60 MiB where every one is asked for to the end."""


@dataclass(frozen=True, slots=True)
class Near:
    """Neighbours `items (c,)`, best first, with `scores (c,)`, worked out when the catalogue's feed stood at `seq`.

    `reasons`: of those that were shown, by ordinal, with the change of the item that they were told of.
    """

    seq: int
    items: Ordinals
    scores: Floats
    reasons: dict[int, tuple[int, str]] = field(default_factory=dict)


class NearItems:
    """Neighbours by metric and item of one bundle, the longest unused dropped first."""

    def __init__(self) -> None:
        """Start with none."""
        self._kept: dict[tuple[str, int], Near] = {}

    def find(self, metric: str, item: CatalogItem, seq: int) -> Near | None:
        """Return what is kept of an item; None where it was of another catalogue than that at `seq`."""
        near = self._kept.pop((metric, item.ordinal), None)
        if near is None or near.seq != seq or item.seq > seq:
            return None
        self._kept[metric, item.ordinal] = near
        return near

    def keep(self, metric: str, item: CatalogItem, near: Near) -> Near:
        """Keep what was worked out of an item and return it."""
        self._kept[metric, item.ordinal] = near
        if len(self._kept) > ITEMS:
            del self._kept[next(iter(self._kept))]
        return near

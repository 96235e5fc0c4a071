"""What the items that are used most are nearest to by content, found once instead of at every question."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from kindred.core.candidates import Ordinals
from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.models.layers import Folder


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    items: int
    length: int


@dataclass(frozen=True, slots=True)
class ContentLists:
    """`items (m,) int32`, ascending, and what is like each, `neighbours (m, k) int32`, best first, padded with -1.

    As their texts were when the base was made: whoever reads a list takes the likeness from the vectors of now, and the
    items `edited (e,)` since have none.
    """

    items: Ordinals
    neighbours: Ordinals
    edited: Ordinals = field(default_factory=lambda: np.empty(0, np.int32))

    def of(self, item: int) -> Ordinals | None:
        """Return the ordinals (c,) that are like an item, best first; None for one without a list."""
        # A wider number would have the whole array widened first.
        place = int(self.items.searchsorted(np.int32(item)))
        if place == len(self.items) or self.items[place] != item or item in self.edited:
            return None
        near: Ordinals = self.neighbours[place]
        return near[near >= 0]

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`."""
        save_json(folder, "lists", _Meta(len(self.items), int(self.neighbours.shape[1])))
        save_array(folder, "items", self.items)
        save_array(folder, "neighbours", self.neighbours)

    @classmethod
    def load(cls, folder: Folder, edited: Ordinals) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file.

        `edited`: items whose text is another since.
        """
        meta = load_json(folder, "lists", _Meta)
        items = load_array(folder, "items", np.int32, (meta.items,))
        if bool(np.any(np.diff(items) <= 0)):
            raise BundleCorrupt(f"items.npy in {folder} does not ascend")
        neighbours = load_array(folder, "neighbours", np.int32, (meta.items, meta.length))
        return cls(items, neighbours, edited)

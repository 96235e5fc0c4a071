"""Dataset: everything that models are fitted on, as columns over the catalogue's ordinals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.bundle import DataWindow
from kindred.core.candidates import Mask
from kindred.core.item import CatalogItem
from kindred.models.categories import ItemCategories
from kindred.models.preference import Interactions
from kindred.models.text import ItemText
from kindred.recommend.item_text import item_text


@dataclass(frozen=True, slots=True)
class Dataset:
    """Interactions and catalogue as they stand at one moment.

    `interactions`: rows with users numbered densely in the order of `user_ids`. `countries[u]`: ISO 3166 alpha-2 of
    user u, in capitals, or None. `items[o]`: what the catalogue says of ordinal o. `position`: the last record read of
    the log. `catalogue_seq`: the last change read of the catalogue. `behind`: tells which rows (n,) stand behind a
    position, where rows know theirs.
    """

    interactions: Interactions
    user_ids: Sequence[str]
    countries: Sequence[str | None]
    items: Sequence[CatalogItem | None]
    position: str | None = None
    catalogue_seq: int = 0
    behind: Callable[[str], Mask] | None = None

    @property
    def n_users(self) -> int:
        """Return how many users there are, those without a row too."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Return the highest ordinal + 1."""
        return len(self.items)

    def with_rows(self, rows: Mask | NDArray[np.intp]) -> Self:
        """Return the same users and catalogue with some of the interactions."""
        return replace(self, interactions=self.interactions.take(rows), behind=None)

    def texts(self) -> list[ItemText]:
        """Return each ordinal's text, empty for what is not listed."""
        return [item_text(one.item) if one is not None and one.listed else ItemText() for one in self.items]

    def categories(self) -> ItemCategories:
        """Return each ordinal's categories, none for what is not listed."""
        return ItemCategories.from_lists(
            [one.item.categories if one is not None and one.listed else () for one in self.items]
        )

    def listed(self) -> Mask:
        """Return which ordinals may be recommended (n,)."""
        return np.array([one is not None and one.listed and one.item.active for one in self.items], np.bool_)

    def changes(self) -> list[CatalogItem]:
        """Return the catalogue's items in the order in which they last changed."""
        return sorted((one for one in self.items if one is not None), key=lambda one: one.seq)

    def window(self) -> DataWindow:
        """Return what stands in a manifest about this data."""
        rows = self.interactions
        times = rows.timestamps[rows.timestamps >= 0]
        return DataWindow(
            first=int(times.min()) if len(times) else None,
            last=int(times.max()) if len(times) else None,
            interactions=len(rows),
            users=len(np.unique(rows.users)),
            items=len(np.unique(rows.items)),
            position=self.position,
            catalogue_seq=self.catalogue_seq,
        )

"""Dataset: everything that models are fitted on, as columns over the catalogue's ordinals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from kindred.core.bundle import DataWindow
from kindred.core.candidates import Floats, Mask
from kindred.core.item import CatalogItem
from kindred.core.profile import Profile
from kindred.features.user_folding import country_of_profile
from kindred.models.categories import ItemCategories
from kindred.models.preference import Interactions
from kindred.models.text import ItemText
from kindred.recommend.item_text import item_text
from kindred.training.row_contexts import RowContexts


@dataclass(frozen=True, slots=True)
class Dataset:
    """Interactions and catalogue as they stand at one moment.

    `interactions`: rows with users numbered densely in the order of `user_ids`. `profiles[u]`: what is known of user u
    that features are made of, or None. `items[o]`: what the catalogue says of ordinal o. `position`: the last record
    read of the log. `catalogue_seq`: the last change read of the catalogue. `behind`: tells which rows (n,) stand
    behind a position, where rows know theirs. `examined (s,) float32`: how likely each slot of a slate is looked at,
    as a share of the first; None where the log does not tell, or was not asked. `contexts`: where the n rows happened;
    None where no row tells.
    """

    interactions: Interactions
    user_ids: Sequence[str]
    profiles: Sequence[Profile | None]
    items: Sequence[CatalogItem | None]
    position: str | None = None
    catalogue_seq: int = 0
    behind: Callable[[str], Mask] | None = None
    examined: Floats | None = None
    contexts: RowContexts | None = None

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
        contexts = None if self.contexts is None else self.contexts.take(rows)
        return replace(self, interactions=self.interactions.take(rows), contexts=contexts, behind=None)

    def until(self, position: str | None, catalogue_seq: int, n_items: int) -> Self:
        """Return the data as it stood when log and catalogue were read up to there.

        Rows behind `position` are left out, and users who have only such; rows that were erased since stay away. Of the
        catalogue the first `n_items` ordinals are kept, as they are described now.
        """
        rows = self.interactions
        kept = rows.items < n_items
        if position is not None and self.behind is not None:
            kept &= ~self.behind(position)
        users, numbers = np.unique(rows.users[kept], return_inverse=True)
        return replace(
            self,
            interactions=replace(rows.take(kept), users=numbers.astype(np.int32)),
            user_ids=[self.user_ids[user] for user in users.tolist()],
            profiles=[self.profiles[user] for user in users.tolist()],
            contexts=None if self.contexts is None else self.contexts.take(kept),
            items=self.items[:n_items],
            position=position,
            catalogue_seq=catalogue_seq,
            behind=None,
        )

    def fingerprint(self) -> str:
        """Return a hash of the rows, in their order, with slots and contexts, of users, profiles and how many items."""
        digest = xxhash.xxh3_128(f"{self.n_items} {self.interactions.names}".encode())
        rows = self.interactions
        for column in (
            rows.users,
            rows.items,
            rows.timestamps,
            rows.event_types,
            rows.values,
            rows.slots,
            self.examined,
        ):
            if column is not None:
                digest.update(np.ascontiguousarray(column).data)
        for labels in self.contexts or ():
            digest.update(msgspec.json.encode(labels.names))
            digest.update(np.ascontiguousarray(labels.codes).data)
        for name, profile in zip(self.user_ids, self.profiles, strict=True):
            digest.update(name.encode() + b"\0" + msgspec.json.encode(profile))
        return digest.hexdigest()

    def countries(self) -> list[str | None]:
        """Return each user's country, ISO 3166 alpha-2 in capitals, or None."""
        return [country_of_profile(profile) or None for profile in self.profiles]

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

"""Fit item-item neighbourhoods: products of users' weights in blocks of bounded memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import check
from kindred.models.arrays import known
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.models.preference import Preferences
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.similarity import SIMILARITIES


def fit_item_item(data: FitInput, config: ItemItemConfig) -> ItemItemModel:
    """Find each item's nearest items by the configured similarity of who liked them, in blocks of bounded memory.

    Ties go to the lower ordinal. Raises InvalidInput for a setting that cannot be used.
    """
    found = ItemPairs(data.preferences, data.n_items, config).nearest(np.arange(data.n_items, dtype=np.int32))
    return ItemItemModel(*found, config)


class ItemPairs:
    """Users' weights on items, ready to be multiplied for whichever items are asked for."""

    def __init__(self, preferences: Preferences, n_items: int, config: ItemItemConfig) -> None:
        """Weight and lay out `preferences`; raise InvalidInput for a setting that cannot be used."""
        check(config, "/item_item")
        self._config = config
        self._n_items = n_items
        self._judge = SIMILARITIES[config.similarity].judge
        self._by_user, self._sizes = SIMILARITIES[config.similarity].lay_out(
            liked_matrix(preferences, n_items, config.max_user_items), config
        )
        self._by_item = self._by_user.T.tocsr()

    def nearest(self, wanted: Ordinals) -> tuple[Ordinals, Floats]:
        """Return neighbours (m, k) int32, padded with -1, and similarities (m, k) float32 of the items `wanted (m,)`.

        What an item gets does not depend on which others are asked for.
        """
        nearest = np.full((len(wanted), self._config.neighbours), -1, np.int32)
        values = np.zeros((len(wanted), self._config.neighbours), np.float32)
        for row, items, sims in self.similarities(wanted):
            keep_best(nearest[row], values[row], items, sims)
        return nearest, values

    def similarities(self, wanted: Ordinals) -> Iterator[tuple[int, Ordinals, Floats]]:
        """Go through the items `wanted (m,)`: place in it, the others that share a user with it, similarities."""
        mine = self._by_item[wanted]
        sizes = np.diff(self._by_user.indptr).astype(np.int64)
        products = mine.astype(bool).astype(np.int64) @ sizes
        users = self._by_user.shape[0]
        for start, end in _blocks(np.minimum(products, self._n_items), self._config.block_products):
            block = (mine[start:end] @ self._by_user).tocsr()
            for row in range(end - start):
                item = wanted[start + row]
                columns = slice(block.indptr[row], block.indptr[row + 1])
                items, dots = block.indices[columns], block.data[columns]
                sims = self._judge(dots, float(self._sizes[item]), self._sizes[items], users, self._config)
                other = (items != item) & (sims > 0)
                yield start + row, items[other], sims[other]


def liked_matrix(preferences: Preferences, n_items: int, max_user_items: int) -> csr_matrix:
    """Return the positive confidences (users, n_items) float32 of the latest items of each user."""
    rows = preferences.take(preferences.positive & known(preferences.items, n_items))
    rows = rows.take(np.lexsort((rows.items, -rows.timestamps, rows.users)))
    users, starts, index, sizes = np.unique(rows.users, return_index=True, return_inverse=True, return_counts=True)
    kept = np.arange(len(rows)) - np.repeat(starts, sizes) < max_user_items
    columns = rows.confidence[kept], (index[kept], rows.items[kept])
    return csr_matrix(columns, shape=(len(users), n_items), dtype=np.float32)


def _blocks(products: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Cut rows into runs whose products stay within `limit` (one row at least)."""
    blocks, start, held = [], 0, 0
    for row, count in enumerate(products.tolist()):
        if held and held + count > limit:
            blocks.append((start, row))
            start, held = row, 0
        held += count
    if start < len(products):
        blocks.append((start, len(products)))
    return blocks


def keep_best(nearest: Ordinals, similarities: Floats, items: Ordinals, sims: Floats) -> None:
    """Write the best of one item's similarities into its row."""
    k = len(nearest)
    if len(sims) > k:
        threshold = np.partition(sims, len(sims) - k)[len(sims) - k]
        above = sims >= threshold
        items, sims = items[above], sims[above]
    best = np.lexsort((items, -sims))[:k]
    nearest[: len(best)], similarities[: len(best)] = items[best], sims[best]

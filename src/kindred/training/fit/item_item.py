"""Fit item-item neighbourhoods: products of users' weights in blocks of bounded memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import InvalidInput
from kindred.models.arrays import known
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.models.preference import Preferences
from kindred.training.fit.inputs import FitInput


def fit_item_item(data: FitInput, config: ItemItemConfig) -> ItemItemModel:
    """Find each item's nearest items by the cosine of its users' weights, in blocks of bounded memory.

    `sim(i, j) = x_i . x_j / (|x_i| |x_j| + shrinkage)` over positive confidences, the user's share by inverse user
    frequency (Breese, Heckerman, Kadie 1998; shrinkage: Bell and Koren 2007). Ties go to the lower ordinal.
    Raises InvalidInput for a setting that cannot be used.
    """
    found = ItemPairs(data.preferences, data.n_items, config).nearest(np.arange(data.n_items, dtype=np.int32))
    return ItemItemModel(*found, config)


class ItemPairs:
    """Users' weights on items, ready to be multiplied for whichever items are asked for."""

    def __init__(self, preferences: Preferences, n_items: int, config: ItemItemConfig) -> None:
        """Weight and lay out `preferences`; raise InvalidInput for a setting that cannot be used."""
        _check(config)
        self._config = config
        self._n_items = n_items
        self._by_user = _weighted(preferences, n_items, config)
        self._by_item = self._by_user.T.tocsr()
        self._norms = np.sqrt(np.asarray(self._by_item.multiply(self._by_item).sum(axis=1), np.float32).ravel())

    def nearest(self, wanted: Ordinals) -> tuple[Ordinals, Floats]:
        """Return neighbours (m, k) int32, padded with -1, and similarities (m, k) float32 of the items `wanted (m,)`.

        What an item gets does not depend on which others are asked for.
        """
        nearest = np.full((len(wanted), self._config.neighbours), -1, np.int32)
        values = np.zeros((len(wanted), self._config.neighbours), np.float32)
        for row, items, sims in self.similarities(wanted):
            _keep(nearest[row], values[row], items, sims)
        return nearest, values

    def similarities(self, wanted: Ordinals) -> Iterator[tuple[int, Ordinals, Floats]]:
        """Go through the items `wanted (m,)`: place in it, the others that share a user with it, similarities."""
        mine = self._by_item[wanted]
        sizes = np.diff(self._by_user.indptr).astype(np.int64)
        products = mine.astype(bool).astype(np.int64) @ sizes
        for start, end in _blocks(np.minimum(products, self._n_items), self._config.block_products):
            block = (mine[start:end] @ self._by_user).tocsr()
            for row in range(end - start):
                item = wanted[start + row]
                columns = slice(block.indptr[row], block.indptr[row + 1])
                items, dots = block.indices[columns], block.data[columns]
                other = items != item
                items, dots = items[other], dots[other]
                yield start + row, items, dots / (self._norms[items] * self._norms[item] + self._config.shrinkage)


def _check(config: ItemItemConfig) -> None:
    """Raise InvalidInput for a setting that cannot be used."""
    if config.neighbours < 1:
        raise InvalidInput.at("/item_item/neighbours", "must be at least 1")
    if config.shrinkage < 0:
        raise InvalidInput.at("/item_item/shrinkage", "must not be negative")
    if config.amplification <= 0:
        raise InvalidInput.at("/item_item/amplification", "must be more than 0")
    if config.user_weighting not in {"iuf", "none"}:
        raise InvalidInput.at("/item_item/user_weighting", "must be `iuf` or `none`")


def _weighted(preferences: Preferences, n_items: int, config: ItemItemConfig) -> csr_matrix:
    """Return the (users, n_items) float32 matrix of positive confidences, users capped and weighted."""
    rows = preferences.take(preferences.positive & known(preferences.items, n_items))
    if len(rows):
        order = np.lexsort((rows.items, -rows.timestamps, rows.users))
        rows = rows.take(order)
        starts = np.flatnonzero(np.concatenate(([True], rows.users[1:] != rows.users[:-1])))
        sizes = np.diff(np.append(starts, len(rows)))
        rows = rows.take(np.arange(len(rows)) - np.repeat(starts, sizes) < config.max_user_items)
    users, index, sizes = np.unique(rows.users, return_inverse=True, return_counts=True)
    values = rows.confidence
    if config.user_weighting == "iuf":
        values = values * np.log1p(n_items / np.maximum(sizes, 1)).astype(np.float32)[index]
    return csr_matrix((values, (index, rows.items)), shape=(len(users), n_items), dtype=np.float32)


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


def _keep(nearest: Ordinals, similarities: Floats, items: Ordinals, sims: Floats) -> None:
    """Write the best of one item's similarities into its row."""
    k = len(nearest)
    if len(sims) > k:
        threshold = np.partition(sims, len(sims) - k)[len(sims) - k]
        above = sims >= threshold
        items, sims = items[above], sims[above]
    best = np.lexsort((items, -sims))[:k]
    nearest[: len(best)], similarities[: len(best)] = items[best], sims[best]

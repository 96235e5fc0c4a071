"""Item-item neighbourhoods: cosine with shrinkage, the best k of each item."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.models.arrays import known, load_array, load_json, save_array, save_json, sum_by_item, values_at
from kindred.models.layers import Folder
from kindred.models.preference import Preferences

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class ItemItemConfig(Config, frozen=True, kw_only=True):
    """How neighbours are found.

    `neighbours`: kept per item. `shrinkage`: added to the product of norms, so that a pair seen together once is
    not a perfect match. `amplification`: power of a similarity when a history is scored, so that few near items say
    more than many far ones; 1 takes them as they are. `max_user_items`: the latest items of a user that count.
    `user_weighting`: `iuf` lessens users with long histories by `log1p(n_items / history)`, `none` treats all
    alike. `block_products`: upper bound on the products held in memory at once (12 bytes each).
    """

    neighbours: int = 100
    shrinkage: float = 200.0
    amplification: float = 2.0
    max_user_items: int = 500
    user_weighting: str = "iuf"
    block_products: int = 20_000_000


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    neighbours: int
    config: ItemItemConfig


@dataclass(frozen=True, slots=True)
class ItemItemModel:
    """The nearest items of every ordinal.

    `neighbours (n, k) int32`, best first, padded with -1; `similarities (n, k) float32` in (0, 1], 0 where padded.
    """

    neighbours: Ordinals
    similarities: Floats
    config: ItemItemConfig

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.neighbours)

    def similar(self, item: int, k: int) -> tuple[Ordinals, Floats]:
        """Return the k nearest ordinals and similarities, best first; nothing for an item newer than the model."""
        if not 0 <= item < self.n_items:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        nearest = self.neighbours[item, :k]
        found = nearest >= 0
        return nearest[found], self.similarities[item, :k][found]

    def score_history(self, items: Ordinals, weights: Floats) -> tuple[Ordinals, Floats]:
        """Return every neighbour of a history `items (h,)` and the sum of similarity times weight, both (c,).

        Ordinals ascend. A negative weight lowers what resembles a disliked item.
        """
        nearest, values = self._spread(items, weights)
        real = np.flatnonzero(nearest >= 0)
        return sum_by_item(nearest.take(real), values.take(real), self.n_items)

    def score_candidates(self, candidates: Ordinals, items: Ordinals, weights: Floats) -> Floats:
        """Return the score of each candidate (c,) float32 from a history `items (h,)`; 0 without a common neighbour."""
        return values_at(*self.score_history(items, weights), candidates)

    def anchors(self, candidates: Ordinals, items: Ordinals, weights: Floats) -> tuple[Ordinals, Floats]:
        """Return for each candidate the history item that adds most to its score, and how much, both (c,).

        -1 and 0 where no history item adds anything; ties go to the lower ordinal.
        """
        nearest, values = self._spread(items, weights)
        asked = np.zeros(max(self.n_items, int(candidates.max(initial=-1)) + 1), np.bool_)
        asked[candidates] = True
        # What pads a row has the value 0 and goes here too.
        rows, places = np.nonzero(asked[nearest] & (values > 0))
        targets, values, sources = nearest[rows, places], values[rows, places], items[known(items, self.n_items)][rows]
        anchors = np.full(len(candidates), -1, np.int32)
        added = np.zeros(len(candidates), np.float32)
        if len(targets):
            order = np.lexsort((sources, -values, targets))
            targets, values, sources = targets[order], values[order], sources[order]
            place = np.minimum(np.searchsorted(targets, candidates), len(targets) - 1)
            hit = targets[place] == candidates
            anchors[hit], added[hit] = sources[place[hit]], values[place[hit]]
        return anchors, added

    def _spread(self, items: Ordinals, weights: Floats) -> tuple[Ordinals, Floats]:
        """Return the neighbours (h, k) of each history item that is covered, and similarity times weight (h, k)."""
        covered = known(items, self.n_items)
        items, weights = items[covered], weights[covered].astype(np.float32)
        return self.neighbours[items], self._amplified(self.similarities[items]) * weights[:, None]

    def _amplified(self, similarities: Floats) -> Floats:
        """Return similarities raised to the configured power (case amplification: Breese, Heckerman, Kadie 1998)."""
        power = self.config.amplification
        raised: Floats = np.square(similarities) if power == 2.0 else similarities ** np.float32(power)
        return raised

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`."""
        self.save_meta(folder, self.n_items)
        save_array(folder, "neighbours", self.neighbours, room=True)
        save_array(folder, "similarities", self.similarities, room=True)

    def save_meta(self, folder: Path, n_items: int) -> None:
        """Write the small facts into `folder`, for arrays over `n_items` ordinals."""
        save_json(folder, "item_item", _Meta(n_items, int(self.neighbours.shape[1]), self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "item_item", _Meta)
        shape = (meta.n_items, meta.neighbours)
        nearest = load_array(folder, "neighbours", np.int32, shape, -1)
        return cls(nearest, load_array(folder, "similarities", np.float32, shape), meta.config)


def fit_item_item(preferences: Preferences, n_items: int, config: ItemItemConfig | None = None) -> ItemItemModel:
    """Find each item's nearest items by the cosine of its users' weights, in blocks of bounded memory.

    `sim(i, j) = x_i . x_j / (|x_i| |x_j| + shrinkage)` over positive confidences, the user's share by inverse user
    frequency (Breese, Heckerman, Kadie 1998; shrinkage: Bell and Koren 2007). Ties go to the lower ordinal.
    Raises InvalidInput for a setting that cannot be used.
    """
    config = config or ItemItemConfig()
    found = ItemPairs(preferences, n_items, config).nearest(np.arange(n_items, dtype=np.int32))
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


def _weighted(preferences: Preferences, n_items: int, config: ItemItemConfig) -> "csr_matrix":
    """Return the (users, n_items) float32 matrix of positive confidences, users capped and weighted."""
    from scipy.sparse import csr_matrix

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

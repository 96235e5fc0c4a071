"""Time-decayed popularity: global scores and the best of each category."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.models.arrays import (
    check_ordinals,
    known,
    load_array,
    load_json,
    load_offsets,
    rows_at,
    save_array,
    save_json,
    top_k,
)
from kindred.models.categories import ItemCategories
from kindred.models.layers import Folder
from kindred.models.preference import SECOND, Interactions, PreferenceConfig, event_weights


class PopularityConfig(Config, frozen=True, kw_only=True):
    """How fame fades.

    `half_life`: seconds until an interaction counts half, None = never. `top`: length of the global list.
    `top_per_category`: length of each category's list.
    """

    half_life: float | None = 365.0 * 86_400
    top: int = 1_000
    top_per_category: int = 200


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    categories: list[str]
    anchor: int
    highest: float
    config: PopularityConfig


@dataclass(frozen=True, slots=True)
class PopularityModel:
    """Popularity of every ordinal.

    `scores (n,) float32` from 0, 1 = the most popular when the base was fitted; `user_counts (n,) int32` distinct users
    with a positive interaction; `top_items (t,) int32` best first; those of category c are
    `category_items[category_offsets[c]:category_offsets[c + 1]]`, best first; `names` of the categories.
    Decay is counted from `anchor` (ms), and scores were divided by `highest`: later counts go on the same scale.
    """

    scores: Floats
    user_counts: Ordinals
    top_items: Ordinals
    category_offsets: NDArray[np.int64]
    category_items: Ordinals
    names: tuple[str, ...]
    anchor: int
    highest: float
    config: PopularityConfig

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.scores)

    def top(self, k: int) -> tuple[Ordinals, Floats]:
        """Return the k most popular ordinals and their scores, best first."""
        items = self.top_items[:k]
        return items, self.scores[items]

    def top_in(self, category: str, k: int) -> tuple[Ordinals, Floats]:
        """Return the k most popular ordinals that bear a category; nothing for an unknown one."""
        if category not in self.names:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        code = self.names.index(category)
        items = self.category_items[self.category_offsets[code] : self.category_offsets[code + 1]][:k]
        return items, self.scores[items]

    def score_candidates(self, candidates: Ordinals) -> Floats:
        """Return the popularity of each candidate (c,) float32; 0 for items newer than the model."""
        return rows_at(self.scores, candidates)

    def save(self, folder: Path) -> None:
        """Write the arrays and names into `folder`."""
        for name in ("scores", "user_counts"):
            save_array(folder, name, getattr(self, name), room=True)
        self.save_lists(folder)

    def save_lists(self, folder: Path) -> None:
        """Write the short lists and the small facts into `folder`."""
        meta = _Meta(self.n_items, list(self.names), self.anchor, self.highest, self.config)
        save_json(folder, "popularity", meta)
        for name in ("top_items", "category_offsets", "category_items"):
            save_array(folder, name, getattr(self, name))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "popularity", _Meta)
        scores = load_array(folder, "scores", np.float32, (meta.n_items,))
        counts = load_array(folder, "user_counts", np.int32, (meta.n_items,))
        top = load_array(folder, "top_items", np.int32, (None,))
        items = load_array(folder, "category_items", np.int32, (None,))
        offsets = load_offsets(folder, "category_offsets", len(meta.categories), len(items))
        check_ordinals(folder, "top_items", top, meta.n_items)
        check_ordinals(folder, "category_items", items, meta.n_items)
        names = tuple(meta.categories)
        return cls(scores, counts, top, offsets, items, names, meta.anchor, meta.highest, meta.config)

    def recounted(
        self,
        interactions: Interactions,
        items: Ordinals,
        categories: ItemCategories,
        as_of: int,
        preference: PreferenceConfig,
    ) -> Self:
        """Return the model with the counts of some items (m,) made anew from all of their interactions.

        Scores stay on the same scale, so that of an item that rises above the first may exceed 1; the lists are made
        anew. `as_of`: ms; categories and ordinals may be more than before.
        """
        n = categories.n_items
        rows = interactions.take(np.isin(interactions.items, items))
        sums, counts = _summed(rows, n, as_of, self.config, preference, self.anchor)
        scores, users = np.zeros(n, np.float32), np.zeros(n, np.int32)
        scores[: self.n_items], users[: self.n_items] = self.scores, self.user_counts
        scores[items], users[items] = (sums / max(self.highest, 1e-300)).astype(np.float32)[items], counts[items]
        return type(self).of(scores, users, categories, self.anchor, self.highest, self.config)

    @classmethod
    def of(
        cls,
        scores: Floats,
        counts: Ordinals,
        categories: ItemCategories,
        anchor: int,
        highest: float,
        config: PopularityConfig,
    ) -> Self:
        """Return the model of scores (n,) and user counts (n,), with the lists that follow from them."""
        offsets, listed = _top_by_category(scores, categories, config.top_per_category)
        best = top_k(scores, config.top).astype(np.int32)
        return cls(scores, counts, best, offsets, listed, categories.names, anchor, highest, config)


def fit_popularity(
    interactions: Interactions,
    categories: ItemCategories,
    as_of: int,
    config: PopularityConfig | None = None,
    preference: PreferenceConfig | None = None,
) -> PopularityModel:
    """Count each user once per item, with their weightiest positive interaction after decay.

    `score_i = sum over users of max over events (w * 2^(-age / half_life))`, divided by the highest; one user can
    add no more than one event's weight to an item, however often they (or a script) repeat it. `as_of`: ms; later
    rows and those outside the catalogue are left out. Raises InvalidInput when a half-life is not positive.
    """
    config, preference = config or PopularityConfig(), preference or PreferenceConfig()
    if config.half_life is not None and config.half_life <= 0:
        raise InvalidInput.at("/popularity/half_life", "must be more than 0 seconds, or left out for no decay")
    # Ages are counted from the last row: the scale falls out below, and old data does not underflow.
    times = interactions.timestamps
    anchor = int(times[times <= as_of].max(initial=0))
    sums, counts = _summed(interactions, categories.n_items, as_of, config, preference, anchor)
    highest = float(sums.max(initial=0.0))
    scores = (sums / max(highest, 1e-300)).astype(np.float32)
    # Nothing was counted: later counts are taken as they come.
    return PopularityModel.of(scores, counts, categories, anchor, highest or 1.0, config)


def _summed(
    interactions: Interactions,
    n: int,
    as_of: int,
    config: PopularityConfig,
    preference: PreferenceConfig,
    anchor: int,
) -> tuple[NDArray[np.float64], Ordinals]:
    """Return the decayed weight (n,) and the number of users (n,) int32 of each item."""
    rows = interactions.take(known(interactions.items, n) & (interactions.timestamps <= as_of))
    weights, _ = event_weights(rows, as_of, msgspec.structs.replace(preference, half_life=None))
    rows, weights = rows.take(weights > 0), weights[weights > 0]
    if config.half_life is not None and len(rows):
        times = np.where(rows.timestamps < 0, anchor, rows.timestamps)
        weights = weights * np.exp2((times - anchor) / (config.half_life * SECOND))
    order = np.lexsort((-weights, rows.items, rows.users))
    users, items, weights = rows.users[order], rows.items[order], weights[order]
    first = np.ones(len(items), np.bool_)
    first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    sums: NDArray[np.float64] = np.bincount(items[first], weights[first], n).astype(np.float64)
    return sums, np.bincount(items[first], minlength=n).astype(np.int32)


def _top_by_category(scores: Floats, categories: ItemCategories, k: int) -> tuple[NDArray[np.int64], Ordinals]:
    """Return offsets and the k best-scored ordinals of each category."""
    offsets, members = categories.members()
    lists = []
    for start, end in itertools.pairwise(offsets.tolist()):
        mine = members[start:end]
        lists.append(mine[top_k(scores[mine], k)])
    sizes = np.cumsum([0, *(len(one) for one in lists)], dtype=np.int64)
    return sizes, np.concatenate([np.empty(0, np.int32), *lists])

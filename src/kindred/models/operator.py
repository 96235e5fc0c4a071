"""Operators: each item names a bounded list of items that it speaks for, and a history is spread over their lists."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec
import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import Config
from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import known, load_array, load_json, save_array, save_json, sum_by_item, values_at
from kindred.models.layers import Folder, layered
from kindred.models.protocol import UserHistory

C = TypeVar("C", bound=Config)

PLACES = "places"


class OperatorMeta(msgspec.Struct, Generic[C]):
    """What stands beside the arrays."""

    n_items: int
    neighbours: int
    config: C


@dataclass(frozen=True, slots=True)
class Operator(Generic[C]):
    """The truncated rows of an item-to-item operator: a history's score is its weighted sum of rows.

    `neighbours (m, k) int32`, best first, padded with -1; `similarities (m, k) float32`: how much the row's item speaks
    for each, 0 where padded. `places (n,) int32`: the row of each ordinal where few have one, row 0 for those without;
    None where row i is of ordinal i. A subclass says what stands in its JSON file, and that file's name.
    """

    neighbours: Ordinals
    similarities: Floats
    config: C
    places: Ordinals | None = None

    meta: ClassVar[type[OperatorMeta[Any]]]
    file: ClassVar[str]

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.neighbours if self.places is None else self.places)

    @property
    def item_vectors(self) -> None:
        """Return None: it has lists, not vectors."""
        return None

    def represent(self, history: UserHistory) -> None:
        """Return None: it spreads a history."""
        return None

    def similar(self, item: int, k: int) -> tuple[Ordinals, Floats]:
        """Return the k nearest ordinals and similarities, best first; nothing for an item newer than the model."""
        if not 0 <= item < self.n_items:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        row = item if self.places is None else int(self.places[item])
        nearest = self.neighbours[row, :k]
        found = nearest >= 0
        return nearest[found], self.similarities[row, :k][found]

    def rows(self, items: Ordinals) -> Ordinals:
        """Return the row (h,) of each ordinal, all of which are covered, in `neighbours` and `similarities`."""
        return items if self.places is None else self.places[items]

    def score_history(self, items: Ordinals, weights: Floats) -> tuple[Ordinals, Floats]:
        """Return every neighbour of a history `items (h,)` and the sum of similarity times weight, both (c,).

        Ordinals ascend. A negative weight lowers what resembles a disliked item.
        """
        nearest, values = self._spread(items, weights)
        real = np.flatnonzero(nearest >= 0)
        return sum_by_item(nearest.take(real), values.take(real), self.n_items)

    def spread(self, history: UserHistory) -> tuple[Ordinals, Floats]:
        """Return every neighbour of a history, ascending, and its score, both (c,)."""
        return self.score_history(history.items, history.signed)

    def score(self, history: UserHistory, candidates: Ordinals) -> Floats:
        """Return the score of each candidate (c,) float32; 0 without a common neighbour."""
        return values_at(*self.spread(history), candidates)

    def anchors(self, history: UserHistory, candidates: Ordinals) -> tuple[Ordinals, Floats]:
        """Return for each candidate the history item that adds most to its score, and how much, both (c,).

        -1 and 0 where no history item adds anything; ties go to the lower ordinal.
        """
        items = history.items
        nearest, values = self._spread(items, history.signed)
        # What pads a row has the value 0 and is left out too.
        rows, places = np.nonzero(np.isin(nearest, candidates) & (values > 0))
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

    def strengths(self, similarities: Floats) -> Floats:
        """Return what similarities (h, k) count for when a history is scored."""
        return similarities

    def _spread(self, items: Ordinals, weights: Floats) -> tuple[Ordinals, Floats]:
        """Return the neighbours (h, k) of each history item that is covered, and similarity times weight (h, k)."""
        covered = known(items, self.n_items)
        rows, weights = self.rows(items[covered]), weights[covered].astype(np.float32)
        return self.neighbours[rows], self.strengths(self.similarities[rows]) * weights[:, None]

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`: where most items have no list, the lists alone and where each one stands."""
        self.save_meta(folder, self.n_items)
        packed = self._packed()
        if packed.places is not None:
            save_array(folder, PLACES, packed.places, room=True)
        save_array(folder, "neighbours", packed.neighbours, room=True)
        save_array(folder, "similarities", packed.similarities, room=True)

    def _packed(self) -> Self:
        """Return the same operator without the rows of items that have no list, unless they are few."""
        filled = np.flatnonzero(self.neighbours[:, :1] >= 0)
        if self.places is not None or 2 * len(filled) >= self.n_items:
            return self
        places = np.zeros(self.n_items, np.int32)
        places[filled] = np.arange(1, len(filled) + 1)
        kept = np.concatenate([np.flatnonzero(places == 0)[:1], filled])
        return replace(self, neighbours=self.neighbours[kept], similarities=self.similarities[kept], places=places)

    def save_meta(self, folder: Path, n_items: int) -> None:
        """Write the small facts into `folder`, for arrays over `n_items` ordinals."""
        save_json(folder, self.file, self.meta(n_items, int(self.neighbours.shape[1]), self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, cls.file, cls.meta)
        if not (layered(folder).base / f"{PLACES}.npy").exists():
            shape = (meta.n_items, meta.neighbours)
            nearest = load_array(folder, "neighbours", np.int32, shape, -1)
            return cls(nearest, load_array(folder, "similarities", np.float32, shape), meta.config)
        places, shape = _places(folder, meta)
        nearest = load_array(folder, "neighbours", np.int32, shape, -1, places)
        return cls(nearest, load_array(folder, "similarities", np.float32, shape, 0, places), meta.config, places)


def _places(folder: Folder, meta: OperatorMeta[Any]) -> tuple[Ordinals, tuple[int, int]]:
    """Return where the list of each ordinal stands, those behind the base's that later layers brought, and the shape.

    Raises BundleCorrupt where a place is beyond the lists.
    """
    layers = layered(folder)
    places = load_array(folder, PLACES, np.int32, (meta.n_items,))
    rows = len(load_array(layers.base, "neighbours", np.int32, (None, meta.neighbours)))
    if len(places) and not 0 <= places.min() <= places.max() < rows:
        raise BundleCorrupt(f"{PLACES}.npy in {layers.base} names a row that is not there")
    brought = np.union1d(layers.changed("neighbours"), layers.changed("similarities"))
    brought = brought[places[brought] == 0]
    if len(brought):
        places = places.copy()
        places[brought] = np.arange(rows, rows + len(brought))
    return places, (rows + len(brought), meta.neighbours)

"""Two towers: a network makes a user's vector of their history, another an item's of its id and what describes it.

The item tower runs in training, over the whole catalogue; the user tower runs here, in ONNX Runtime.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Amount, Config, Count, CountOrZero, MoreThanZero
from kindred.models.arrays import known, load_array, load_json, save_array, save_json
from kindred.models.layers import Folder
from kindred.models.onnx import OnnxGraph, open_graph
from kindred.models.protocol import UserHistory
from kindred.models.vectors import score_vectors, spread_vector

Width = Annotated[int, Meta(ge=1, le=8_192)]
USER_GRAPH = "user_tower"
DAY = 86_400_000
WEEK = 7 * DAY
EPOCH_WEEKDAY = 3 * DAY
"""1970-01-01 was a Thursday; weeks begin on Monday."""
SIGNALS = 4
CONTEXT = 7


class TwoTowerConfig(Config, frozen=True, kw_only=True):
    """How the two towers are built and trained.

    `embedding`: length of an item's vector below the towers. `layers`: widths of each tower's layers; the last is the
    length of its vectors, which are scaled to length 1. `heads`: weighted means of the history that the user tower
    reads. `history`: latest items that it reads. `temperature`: what products of vectors are divided by in training.
    `batch`: users' next items learned from at a time, each also a negative for the others. `negatives`: further
    negatives of a batch, drawn uniformly. `id_dropout`: share of items whose id is hidden in training, so that an item
    without interactions gets a vector from what describes it. `learning_rate`, `weight_decay`: of AdamW. `epochs`:
    most passes over the data. `epoch_rows`: most interactions of a pass. `patience`: passes without a better
    validation NDCG@20 before training stops. `validation_users`: whose latest item is held out for it, at most a
    fifth of the users. `seed`: fixes every draw.
    """

    embedding: Width = 64
    layers: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=8)] = (256, 128)
    heads: Annotated[int, Meta(ge=1, le=32)] = 4
    history: Annotated[int, Meta(ge=1, le=500)] = 50
    temperature: MoreThanZero = 0.07
    batch: Annotated[int, Meta(ge=2, le=65_536)] = 512
    negatives: CountOrZero = 512
    id_dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    learning_rate: MoreThanZero = 2e-3
    weight_decay: Amount = 1e-4
    epochs: Count = 10
    epoch_rows: Count = 250_000
    patience: Count = 2
    validation_users: Count = 2_000
    seed: int = 42


class EpochFigures(msgspec.Struct, frozen=True):
    """What one pass over the data came to: mean loss, and quality on the validation users."""

    loss: float
    recall: float
    ndcg: float
    seconds: float


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    event_types: tuple[str, ...]
    epochs: tuple[EpochFigures, ...]
    device: str
    config: TwoTowerConfig


@dataclass(frozen=True, slots=True)
class TowerInputs:
    """What the user tower reads of b histories of at most h items, newest first.

    `items (b, h) int32`; `liked`, `disliked (b, h) float32`: 1 or 0, both 0 past a history's end; `signals (b, h, 4)`:
    log confidence, log age in days, whether the age is known, log place; `types (b, h) int64`: 0 for a type that was
    never seen in training; `context (b, 7)`: log counts of liked and disliked, hour and weekday of the question as
    points on circles, whether they are known.
    """

    items: Ordinals
    liked: Floats
    disliked: Floats
    signals: Floats
    types: NDArray[np.int64]
    context: Floats

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the graph's inputs, less the items' own vectors."""
        return {
            "liked": self.liked,
            "disliked": self.disliked,
            "signals": self.signals,
            "types": self.types,
            "context": self.context,
        }


def tower_inputs(
    items: Ordinals,
    confidence: Floats,
    positive: Mask,
    present: Mask,
    timestamps: NDArray[np.int64],
    types: NDArray[np.int64],
    as_of: NDArray[np.int64],
) -> TowerInputs:
    """Build the user tower's inputs of columns (b, h), newest first; `as_of (b,)` ms, below 0: unknown.

    Training and serving both come through here, so that the tower reads the same of the same history.
    """
    timed = present & (timestamps >= 0) & (as_of >= 0)[:, None]
    age = np.where(timed, np.maximum(as_of[:, None] - timestamps, 0), 0) / DAY
    place = np.broadcast_to(np.log1p(np.arange(items.shape[1])), items.shape)
    signals = np.stack((np.log(np.maximum(confidence, 1)), np.log1p(age), timed, place), axis=2)
    liked, disliked = positive & present, ~positive & present
    return TowerInputs(
        items=np.where(present, items, 0).astype(np.int32),
        liked=liked.astype(np.float32),
        disliked=disliked.astype(np.float32),
        signals=np.where(present[:, :, None], signals, 0).astype(np.float32),
        types=np.where(present, types, 0).astype(np.int64),
        context=_context(liked, disliked, as_of),
    )


def _context(liked: Mask, disliked: Mask, as_of: NDArray[np.int64]) -> Floats:
    """Return what the tower reads beside the history's rows, (b, 7) float32."""
    asked = as_of >= 0
    hour = 2 * np.pi * (as_of % DAY) / DAY
    week = 2 * np.pi * ((as_of + EPOCH_WEEKDAY) % WEEK) / WEEK
    circles = [np.where(asked, wave(angle), 0) for angle in (hour, week) for wave in (np.sin, np.cos)]
    counts = [np.log1p(mask.sum(axis=1)) for mask in (liked, disliked)]
    return np.stack((*counts, *circles, asked), axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class TwoTowerModel:
    """Item vectors, and the user tower.

    `item_vectors (n, d) float32`: of length 1, zero for items without interactions and without content;
    `history_vectors (n, e) float32`: what the user tower reads of an item; `event_types`: those met in training;
    `epochs`: what training came to; `device`: what it ran on.
    """

    item_vectors: Floats
    history_vectors: Floats
    tower: OnnxGraph
    event_types: tuple[str, ...]
    epochs: tuple[EpochFigures, ...]
    device: str
    config: TwoTowerConfig

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.item_vectors)

    def represent(self, history: UserHistory) -> Floats:
        """Return the user's vector (d,) float32 of length 1; zero where nothing in the history is known and liked.

        (Covington, Adams, Sargin 2016; Yi et al. 2019.)
        """
        rows = np.flatnonzero(known(history.items, self.n_items))[: self.config.history]
        rows = rows[self.item_vectors[history.items[rows]].any(axis=1)]
        if not history.positive[rows].any():
            return np.zeros(self.item_vectors.shape[1], np.float32)
        codes = np.array([self._code(name) for name in history.names] or [0], np.int64)
        types = codes[history.event_types[rows]] if len(history.event_types) else np.zeros(len(rows), np.int64)
        inputs = tower_inputs(
            history.items[rows][None],
            history.confidence[rows][None],
            history.positive[rows][None],
            np.ones((1, len(rows)), np.bool_),
            history.timestamps[rows][None],
            types[None],
            np.array([history.as_of], np.int64),
        )
        vector: Floats = self.tower.run({"vectors": self.history_vectors[inputs.items], **inputs.columns()})[0][0]
        return vector

    def _code(self, name: str) -> int:
        """Return an event type's code in the user tower, 0 for one that training never met."""
        return self.event_types.index(name) + 1 if name in self.event_types else 0

    def spread(self, history: UserHistory) -> tuple[Ordinals, Floats]:
        """Return the items with vectors, ascending, and their cosines with the user's, both (c,)."""
        return spread_vector(self.item_vectors, self.represent(history))

    def score(self, history: UserHistory, candidates: Ordinals) -> Floats:
        """Return each candidate's cosine with the user's vector (c,) float32; 0 where the model has no opinion."""
        return score_vectors(self.item_vectors, self.represent(history), candidates)

    def save(self, folder: Path) -> None:
        """Write the arrays and the user tower into `folder`."""
        meta = _Meta(self.n_items, self.event_types, self.epochs, self.device, self.config)
        save_json(folder, "two_tower", meta)
        save_array(folder, "item_vectors", self.item_vectors, room=True)
        save_array(folder, "history_vectors", self.history_vectors, room=True)
        self.tower.save(folder, USER_GRAPH)

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only and open the tower; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "two_tower", _Meta)
        return cls(
            load_array(folder, "item_vectors", np.float32, (meta.n_items, meta.config.layers[-1])),
            load_array(folder, "history_vectors", np.float32, (meta.n_items, meta.config.embedding)),
            open_graph(folder, USER_GRAPH),
            meta.event_types,
            meta.epochs,
            meta.device,
            meta.config,
        )

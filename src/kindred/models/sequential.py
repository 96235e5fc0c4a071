"""Next-item prediction by a causal transformer over a user's latest items, which ONNX Runtime runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import Amount, Config, Count, CountOrZero, MoreThanZero, Share
from kindred.models.arrays import known, load_array, load_json, save_array, save_json
from kindred.models.forms import Form
from kindred.models.layers import Folder
from kindred.models.onnx import OnnxGraph, open_graph
from kindred.models.protocol import UserHistory
from kindred.models.search import Range, Space, Whole
from kindred.models.vectors import score_vectors, spread_vector

ENCODER = "encoder"
GAPS = 34
"""Number of buckets of the time between two events; bucket 0: unknown."""


class SequentialConfig(Config, frozen=True, kw_only=True):
    """How the transformer over a user's latest items is built and trained.

    `factors`: length of its vectors. `layers`, `heads`: of the transformer; `heads` divides `factors`. `inner`: width
    of each layer's feed-forward part. `max_length`: latest items that are read. `dropout`: share of values zeroed in
    training. `negatives`: items that each true next item is told from, drawn for a whole batch; 0 = the whole
    catalogue. `temperature`: vectors have length 1 and their products are divided by it; 0 = vectors of any length.
    `batch`: next items learned from at a time. `learning_rate`, `weight_decay`: of AdamW. `average`: share of the
    running mean of the weights that stays at each step; that mean is what is served. `epochs`: most passes over the
    data. `patience`: passes without a better validation NDCG@10 before training stops. `validation_users`: whose
    latest item is held out for it. `quantised`: let the encoder be served in
    8-bit integers, where that is faster and loses at most 1 % of NDCG@10. `seed`: fixes every draw.
    """

    factors: Annotated[int, Meta(ge=4, le=1_024)] = 128
    layers: Annotated[int, Meta(ge=1, le=24)] = 1
    heads: Annotated[int, Meta(ge=1, le=32)] = 1
    inner: Annotated[int, Meta(ge=4, le=8_192)] = 256
    max_length: Annotated[int, Meta(ge=2, le=500)] = 50
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.3
    negatives: CountOrZero = 512
    temperature: Amount = 0.08
    batch: Count = 2_048
    learning_rate: MoreThanZero = 1e-3
    weight_decay: Amount = 0.01
    average: Share = 0.998
    epochs: Count = 100
    patience: Count = 6
    validation_users: CountOrZero = 5_000
    quantised: bool = True
    seed: int = 42


SEARCH: Space = {
    "layers": Whole(1, 4),
    "dropout": Range(0.1, 0.5),
    "temperature": Range(0.04, 0.2, log=True),
    "learning_rate": Range(3e-4, 3e-3, log=True),
}
"""What tuning chooses from."""


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    event_types: tuple[str, ...]
    passes: int
    seconds: float
    device: str
    config: SequentialConfig
    forms: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True)
class SequentialModel:
    """Item vectors, and the encoder that reads them.

    `item_vectors (n, d) float32`, zero for items nobody liked; `event_types`: those met in training; `passes`: over the
    data that the best weights took; `seconds`: that training took in all, and `device`: what it ran on; `forms`: those
    that the encoder was measured in, of which the fastest good one is here.
    """

    item_vectors: Floats
    encoder: OnnxGraph
    event_types: tuple[str, ...]
    passes: int
    seconds: float
    device: str
    config: SequentialConfig
    forms: tuple[Form, ...] = ()

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.item_vectors)

    def represent(self, history: UserHistory) -> Floats:
        """Return the vector (d,) float32 that the user's next item is near to.

        Zero where nothing in the history is known and liked; items newer than the model are left out. The encoder reads
        what is liked; the vectors of disliked items are taken off by their share of the history.
        """
        rows = np.flatnonzero(known(history.items, self.n_items))
        rows = rows[self.item_vectors[history.items[rows]].any(axis=1)]
        liked = history.positive[rows]
        against = history.items[rows[~liked][: self.config.max_length]]
        rows = rows[liked][: self.config.max_length][::-1]
        if not len(rows):
            return np.zeros(self.item_vectors.shape[1], np.float32)
        times = history.timestamps[rows]
        inputs: dict[str, NDArray[Any]] = {
            "vectors": self.item_vectors[history.items[rows]][None],
            "gaps": gap_buckets(np.append(-1, times[:-1]), times)[None],
            "types": self._types(history, rows)[None],
        }
        vector: Floats = self.encoder.run(inputs)[0][0]
        if len(against):
            vector = vector - self.item_vectors[against].sum(axis=0) / np.float32(len(against) + len(rows))
        return vector

    def _types(self, history: UserHistory, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the codes of the rows' event types, from 1; 0 for one that training never met."""
        if not len(history.event_types):
            return np.zeros(len(rows), np.int64)
        codes = {name: code for code, name in enumerate(self.event_types, start=1)}
        mine = np.array([codes.get(name, 0) for name in history.names], np.int64)
        return mine[history.event_types[rows]]

    def spread(self, history: UserHistory) -> tuple[Ordinals, Floats]:
        """Return the items with vectors, ascending, and their products with the user's vector, both (c,)."""
        return spread_vector(self.item_vectors, self.represent(history))

    def score(self, history: UserHistory, candidates: Ordinals) -> Floats:
        """Return each candidate's product with the user's vector (c,) float32; 0 where the model has no opinion."""
        return score_vectors(self.item_vectors, self.represent(history), candidates)

    def save(self, folder: Path) -> None:
        """Write the arrays and the encoder into `folder`."""
        facts = (self.event_types, self.passes, self.seconds, self.device, self.config, self.forms)
        save_json(folder, "sequential", _Meta(self.n_items, *facts))
        save_array(folder, "item_vectors", self.item_vectors, room=True)
        self.encoder.save(folder, ENCODER)

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the vectors read-only and open the encoder; raise BundleCorrupt for a missing, cut or misfit file."""
        meta = load_json(folder, "sequential", _Meta)
        vectors = load_array(folder, "item_vectors", np.float32, (meta.n_items, meta.config.factors))
        facts = (meta.event_types, meta.passes, meta.seconds, meta.device, meta.config, meta.forms)
        return cls(vectors, open_graph(folder, ENCODER), *facts)


def gap_buckets(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bucket of each time between two events, times (m,) in ms: 1 + log2(1 + seconds); 0 unknown."""
    seconds = np.maximum(after - before, 0) / 1_000
    buckets = 1 + np.minimum(np.log2(1 + seconds), GAPS - 2).astype(np.int64)
    return np.where((before < 0) | (after < 0), 0, buckets)

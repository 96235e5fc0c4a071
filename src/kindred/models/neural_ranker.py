"""The ranker's heads as one network instead of trees: an ONNX graph from columns to a margin per head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import msgspec
import numpy as np
from msgspec import Meta

from kindred.core.candidates import Floats
from kindred.core.config import Amount, Config, Count, MoreThanZero
from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.models.forms import Form
from kindred.models.layers import Folder
from kindred.models.onnx import OnnxGraph, open_graph

GRAPH = "network"
SAMPLE = 1_000
Width = Annotated[int, Meta(ge=1, le=4_096)]
Widths = Annotated[tuple[Width, ...], Meta(min_length=1, max_length=8)]


class NeuralRankerConfig(Config, frozen=True, kw_only=True):
    """How the ranker's network is built and trained, where `ranker.kind` is `neural`.

    `cross_layers`: layers that multiply columns with one another. `layers`: widths of those beside them.
    `student_layers`: of the small network that is taught what the large one says, with one cross layer; what is served
    is the fastest of both and of the large one in 8-bit integers that loses at most 1 % of the best one's NDCG@10.
    `batch`: requests learned from at a time. `learning_rate`, `weight_decay`: of AdamW. `epochs`: most passes over the
    requests. `patience`: passes without a better NDCG@10 on held-out requests before training stops. `held`: share of
    the requests held out for it. `seed`: fixes every draw.
    """

    cross_layers: Annotated[int, Meta(ge=1, le=8)] = 2
    layers: Widths = (128, 64)
    student_layers: Widths = (16,)
    batch: Count = 32
    learning_rate: MoreThanZero = 1e-3
    weight_decay: Amount = 0.01
    epochs: Count = 30
    patience: Count = 4
    held: Annotated[float, Meta(gt=0, lt=1)] = 0.15
    seed: int = 42


class _Stored(msgspec.Struct):
    """What stands beside the graph."""

    names: tuple[str, ...]
    columns: int
    forms: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """One output of the network."""

    heads: "NetworkHeads"
    place: int

    def margins(self, columns: Floats) -> Floats:
        """Return the margin (n,) float32 of `columns (n, f)`."""
        return self.heads.margins(columns)[:, self.place]

    def gains(self, columns: Floats) -> Floats:
        """Return the mean size of each column's share (f,) float32 over the first of `columns (n, f)`."""
        found: Floats = np.abs(self.shares(columns[:SAMPLE])[:, :-1]).mean(axis=0)
        return found

    def shares(self, columns: Floats) -> Floats:
        """Return what each column adds to each margin (n, f + 1), the last being what a usual row has.

        The fall of the margin when the column is set to its usual value, all others as they are; what columns do
        together is in none of them.
        """
        whole = self.margins(columns)
        usual = self.heads.usual
        shares = np.empty((len(columns), len(usual) + 1), np.float32)
        for column, value in enumerate(usual):
            without = columns.copy()
            without[:, column] = value
            shares[:, column] = whole - self.margins(without)
        shares[:, -1] = self.margins(usual[None])[0]
        return shares


@dataclass(frozen=True, slots=True)
class NetworkHeads(Mapping[str, Head]):
    """Heads by name, in the order of the graph's outputs; `usual (f,)`: each column's median; `forms`: measured ones.

    The graph takes `columns (n, f) float32`, NaN where a value is missing, and gives margins (n, t).
    """

    names: tuple[str, ...]
    graph: OnnxGraph
    usual: Floats
    forms: tuple[Form, ...] = ()

    def __getitem__(self, name: str) -> Head:
        """Return the head of an output."""
        return Head(self, self.names.index(name))

    def __iter__(self) -> Iterator[str]:
        """Name the heads."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return t."""
        return len(self.names)

    def margins(self, columns: Floats) -> Floats:
        """Return all heads' margins (n, t) float32 of `columns (n, f)`."""
        found: Floats = self.graph.run({"columns": np.ascontiguousarray(columns, np.float32)})[0]
        return found

    def together(self, names: Sequence[str], columns: Floats) -> Floats:
        """Return the margins (n, h) float32 of h heads for `columns (n, f)`."""
        return self.margins(columns)[:, [self.names.index(name) for name in names]]

    def save(self, folder: Path) -> None:
        """Write the graph, and what stands beside it, into `folder`."""
        save_json(folder, GRAPH, _Stored(self.names, len(self.usual), self.forms))
        save_array(folder, "usual", self.usual)
        self.graph.save(folder, GRAPH)

    @classmethod
    def load(cls, folder: Folder, names: Sequence[str]) -> Self:
        """Open the graph of the heads `names`; raise BundleCorrupt for a missing or damaged file, or other heads."""
        stored = load_json(folder, GRAPH, _Stored)
        if stored.names != tuple(names):
            raise BundleCorrupt(f"{GRAPH}.json has the heads {', '.join(stored.names)}, not {', '.join(names)}")
        usual = load_array(folder, "usual", np.float32, (stored.columns,))
        return cls(stored.names, open_graph(folder, GRAPH), usual, stored.forms)

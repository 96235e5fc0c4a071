"""Forms of the sequential encoder: whole and in 8-bit integers, exported, measured as they are served."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from kindred.core.candidates import Floats
from kindred.models.forms import INT8, WHOLE, Form
from kindred.models.onnx import OnnxGraph, open_graph
from kindred.models.sequential import GAPS, SequentialConfig
from kindred.training.neural.export import export_graph
from kindred.training.neural.quantise import quantise_graph
from kindred.training.neural.sequences.batches import Sequences, history_batch
from kindred.training.neural.sequences.loop import USERS_AT_ONCE, Validation, ndcg_of, ranks_of
from kindred.training.neural.sequences.network import Encoder

AXES = {"vectors": {1: "length"}, "gaps": {1: "length"}, "types": {1: "length"}}
CALLS = 101


class _LastPlace(nn.Module):
    """The encoder as it is asked: one history, and only what follows it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, vectors: Tensor, gaps: Tensor, types: Tensor) -> Tensor:
        places = torch.arange(vectors.shape[1] - 1, -1, -1)[None]
        encoded: Tensor = self.encoder(vectors, places, gaps, types, latest=1)
        return encoded[:, -1]


def export_forms(encoder: Encoder, config: SequentialConfig) -> dict[str, OnnxGraph]:
    """Export the encoder, compare histories of several lengths, and quantise it where `quantised` allows that."""
    kinds = encoder.types.num_embeddings
    examples = [_example(length, config.factors, kinds) for length in (3, 1, config.max_length)]
    names = (WHOLE, INT8) if config.quantised else (WHOLE,)
    with TemporaryDirectory() as made:
        folder = Path(made)
        export_graph(_LastPlace(encoder), examples, AXES, folder, WHOLE, ["user"])
        if config.quantised:
            quantise_graph(folder, WHOLE, INT8)
        return {name: open_graph(folder, name) for name in names}


def measured(
    name: str, graph: OnnxGraph, table: Floats, histories: Sequences, held: Validation, config: SequentialConfig
) -> Form:
    """Measure a graph: NDCG@10 of the held-out items among `table (n, d)`, and the median time of a full history.

    0 where nothing is held out.
    """
    ranks = []
    for start in range(0, len(held.users), USERS_AT_ONCE):
        users, wanted = held.users[start : start + USERS_AT_ONCE], held.items[start : start + USERS_AT_ONCE]
        vectors = np.concatenate([_asked(graph, table, histories, user, config.max_length) for user in users])
        ranks.append(ranks_of(vectors @ table.T, histories, users, wanted))
    full = {key: value.numpy() for key, value in _example(config.max_length, config.factors, 1).items()}
    times = []
    for _ in range(CALLS):
        started = perf_counter()
        graph.run(full)
        times.append(perf_counter() - started)
    found = np.concatenate([np.empty(0, np.intp), *ranks])
    return Form(name, len(graph.data), 1_000 * float(np.median(times)), ndcg_of(found))


def _asked(graph: OnnxGraph, table: Floats, histories: Sequences, user: np.intp, length: int) -> Floats:
    """Return a user's vector (1, d), of as much of their history as is read."""
    begin, end = histories.starts[user : user + 2]
    row = history_batch(histories, np.array([max(begin, end - length)]), np.array([end]))
    vector: Floats = graph.run({"vectors": table[row.items], "gaps": row.gaps, "types": row.types})[0]
    return vector


def _example(length: int, width: int, kinds: int) -> dict[str, Tensor]:
    """Return random inputs of the encoder."""
    return {
        "vectors": torch.randn(1, length, width) / width**0.5,
        "gaps": torch.randint(GAPS, (1, length)),
        "types": torch.randint(kinds, (1, length)),
    }

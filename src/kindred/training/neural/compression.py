"""Forms of the ranker's network: whole, in 8-bit integers, a student; measured, and the fastest good one kept."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from kindred.core.candidates import Floats
from kindred.models.forms import INT8, STUDENT, WHOLE, Form, fastest
from kindred.models.onnx import OnnxGraph, open_graph
from kindred.training.fit.inputs import Progress
from kindred.training.neural.cross import CrossNetwork
from kindred.training.neural.export import export_graph
from kindred.training.neural.lists import Lists
from kindred.training.neural.quantise import quantise_graph

CANDIDATES = 500
CALLS = 31


def serve(
    network: CrossNetwork, student: CrossNetwork, held: Lists, progress: Progress
) -> tuple[OnnxGraph, tuple[Form, ...]]:
    """Export both, quantise the network, and return the graph to serve with what was measured of each on `held`."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        samples = [{"columns": torch.from_numpy(_rows(held, count))} for count in (3, 1)]
        for name, module in ((WHOLE, network), (STUDENT, student)):
            export_graph(module, samples, {"columns": {0: "rows"}}, folder, name, ["margins"])
        quantise_graph(folder, WHOLE, INT8)
        graphs = {name: open_graph(folder, name) for name in (WHOLE, INT8, STUDENT)}
    forms = tuple(measured(name, graph, held) for name, graph in graphs.items())
    chosen = fastest(forms)
    for form in forms:
        mark = ", served" if form is chosen else ""
        progress(f"ranker: {form}{mark}")
    return graphs[chosen.name], forms


def measured(name: str, graph: OnnxGraph, held: Lists) -> Form:
    """Measure a graph: NDCG@10 of `held`, and the median time of a call with `CANDIDATES` rows of it."""
    margins = graph.run({"columns": held.columns})[0]
    rows = {"columns": _rows(held, CANDIDATES)}
    times = []
    for _ in range(CALLS):
        started = perf_counter()
        graph.run(rows)
        times.append(perf_counter() - started)
    return Form(name, len(graph.data), 1_000 * float(np.median(times)), held.ndcg(margins[:, 0]))


def _rows(examples: Lists, count: int) -> Floats:
    """Return so many rows of examples, repeated where there are fewer."""
    return np.resize(examples.columns, (count, examples.columns.shape[1]))

"""Export a torch module as an ONNX graph, and check that both say the same."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from kindred.core.errors import BundleCorrupt
from kindred.models.onnx import open_graph

Inputs: TypeAlias = Mapping[str, Tensor]
TOLERANCE = 1e-4
"""Largest difference that passes, relative to the largest output (at least 1): float32 sums in another order."""


def export_graph(
    module: nn.Module,
    examples: Sequence[Inputs],
    axes: Mapping[str, Mapping[int, str]],
    folder: Path,
    name: str,
    outputs: Sequence[str],
) -> float:
    """Write `module` as `folder/name.onnx` and return the largest relative difference of its outputs.

    `examples`: keyword arguments of `forward`; the first is traced (its free axes longer than 1), all are compared.
    `axes`: by input, the names of the axes whose length is free; equal names have equal lengths. `outputs`: names.
    Raises BundleCorrupt where the graph's outputs differ by more than `TOLERANCE`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    module = module.eval().cpu()
    free = {axis: torch.export.Dim(axis) for lengths in axes.values() for axis in lengths.values()}
    first = dict(examples[0])
    shapes = {key: {place: free[axis] for place, axis in axes.get(key, {}).items()} or None for key in first}
    # The exporter speaks of packages that this needs none of, and of every axis name that two inputs share.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            module,
            kwargs=first,
            f=path,
            dynamo=True,
            external_data=False,
            verbose=False,
            output_names=list(outputs),
            dynamic_shapes=shapes,
        )
    difference = max(_difference(module, example, folder, name) for example in examples)
    if not difference <= TOLERANCE:
        path.unlink()
        raise BundleCorrupt(f"{path.name} differs from the network that it was made of by {difference:.2g}")
    return difference


@torch.no_grad()
def _difference(module: nn.Module, example: Inputs, folder: Path, name: str) -> float:
    """Return the largest difference between a module's outputs and a graph's, relative to the largest output."""
    made = module(**example)
    wanted = [each.numpy() for each in (made if isinstance(made, tuple) else (made,))]
    found = open_graph(folder, name).run({key: value.numpy() for key, value in example.items()})
    return max(
        float(np.abs(a - b).max(initial=0)) / max(1.0, float(np.abs(a).max(initial=0)))
        for a, b in zip(wanted, found, strict=True)
    )

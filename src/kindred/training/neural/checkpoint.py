"""Checkpoints of training: tensors by name in one file, replaced whole."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def save_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer, extra: Mapping[str, Tensor]) -> None:
    """Write a network's and its optimizer's state and further tensors, as arrays without pickle."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    tensors |= {f"extra.{name}": value for name, value in extra.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half.npz")
    np.savez(half, **{name: value.detach().cpu().numpy() for name, value in tensors.items()})
    half.replace(path)


def load_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer) -> dict[str, Tensor] | None:
    """Restore what `save_checkpoint` wrote and return the further tensors; None where there is no usable file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            tensors = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    network.load_state_dict(_under("network.", tensors))
    states: dict[int, dict[str, Any]] = {}
    for name, value in _under("optimizer.", tensors).items():
        number, _, key = name.partition(".")
        states.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return _under("extra.", tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

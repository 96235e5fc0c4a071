"""Distillation: a small network is taught what a large one says."""

import torch
from torch.nn.functional import mse_loss

from kindred.core.candidates import Floats
from kindred.core.rng import seeded
from kindred.models.neural_ranker import NeuralRankerConfig
from kindred.training.neural.cross import CrossNetwork, margins_of
from kindred.training.neural.device import Device

ROWS = 2_048


def teach(
    student: CrossNetwork, teacher: CrossNetwork, columns: Floats, config: NeuralRankerConfig, device: Device
) -> None:
    """Teach a student the teacher's margins for `columns (n, f)` by their squared difference (Ba and Caruana 2014).

    Margins are standardised per task, so that no task drowns the others; no label is needed.
    """
    wanted = torch.from_numpy(margins_of(teacher, columns))
    centre, spread = wanted.mean(0), wanted.std(0, correction=0).clamp(min=1e-6)
    optimizer = torch.optim.AdamW(student.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    student.train()
    for epoch in range(config.epochs):
        order = seeded(config.seed, "teach", epoch).permutation(len(columns))
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            with device.autocast():
                margins = student(torch.from_numpy(columns[rows]).to(device.device)).float()
            loss = mse_loss(margins, ((wanted[rows] - centre) / spread).to(device.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    _rescale(student, spread.to(device.device), centre.to(device.device))


@torch.no_grad()
def _rescale(student: CrossNetwork, spread: torch.Tensor, centre: torch.Tensor) -> None:
    """Let the last layer give margins on the teacher's scale."""
    student.tasks.weight.mul_(spread[:, None])
    student.tasks.bias.mul_(spread).add_(centre)

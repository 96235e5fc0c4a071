"""A network that scores rows of columns for several tasks: cross layers beside ordinary ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kindred.core.candidates import Floats

BLOCK = 65_536
FARTHEST = 5.0
"""Standard deviations at which a value is cut."""


class CrossNetwork(nn.Module):
    """Deep & Cross Network V2 (Wang et al. 2021), one output per task.

    It reads raw columns: missing values (NaN) become 0 with a flag of their own, others are put on a logarithmic scale
    and standardised by what training saw.
    """

    mean: Tensor
    scale: Tensor
    flagged: Tensor

    def __init__(self, columns: Tensor, cross_layers: int, layers: Sequence[int], tasks: int) -> None:
        """Learn the scales of `columns (n, f)`, and build `cross_layers`, `layers` of given widths, and the tasks."""
        super().__init__()
        known = ~torch.isnan(columns)
        squeezed = torch.where(known, _squeezed(columns), 0)
        counts = known.sum(0).clamp(min=1)
        mean = squeezed.sum(0) / counts
        spread = (torch.where(known, squeezed - mean, 0).square().sum(0) / counts).sqrt()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", torch.where(spread > 1e-6, 1 / spread.clamp(min=1e-6), 0))
        self.register_buffer("flagged", torch.nonzero(~known.all(0)).flatten())
        width = columns.shape[1] + len(self.flagged)
        self.crosses = nn.ModuleList(nn.Linear(width, width) for _ in range(cross_layers))
        deep: list[nn.Module] = []
        last = width
        for wide in layers:
            deep += [nn.Linear(last, wide), nn.ReLU()]
            last = wide
        self.deep = nn.Sequential(*deep)
        self.tasks = nn.Linear(width + last, tasks)

    def forward(self, columns: Tensor) -> Tensor:
        """Return the margins (n, t) of columns (n, f)."""
        missing = torch.isnan(columns)
        values = (_squeezed(torch.where(missing, 0.0, columns)) - self.mean) * self.scale
        values = torch.where(missing, 0.0, values.clamp(-FARTHEST, FARTHEST))
        first = torch.cat((values, missing.index_select(1, self.flagged).float()), dim=1)
        crossed = first
        for cross in self.crosses:
            crossed = first * cross(crossed) + crossed
        margins: Tensor = self.tasks(torch.cat((crossed, self.deep(first)), dim=1))
        return margins


@torch.no_grad()
def margins_of(network: CrossNetwork, columns: Floats) -> Floats:
    """Return a network's margins (n, t) float32 of `columns (n, f)`, block by block."""
    network.eval()
    device = network.mean.device
    blocks = [torch.from_numpy(columns[at : at + BLOCK]).to(device) for at in range(0, len(columns), BLOCK)]
    found: Floats = torch.cat([network(block).float().cpu() for block in blocks]).numpy()
    return found


def _squeezed(columns: Tensor) -> Tensor:
    """Put values on a logarithmic scale on both sides of 0."""
    return torch.sign(columns) * torch.log1p(columns.abs())

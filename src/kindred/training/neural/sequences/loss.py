"""How far a network is from predicting the next item: softmax over the catalogue, or over a sample of it."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Rows of logits at a time: a slice that stays in the processor's cache, and bounds memory whatever the batch.
SLICE = 512


class _FullSoftmax(torch.autograd.Function):
    """Mean cross-entropy over all items; the gradients are made slice by slice with the loss."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, targets: Tensor, scale: float) -> Tensor:
        kind = torch.bfloat16 if torch.is_autocast_enabled(hidden.device.type) else hidden.dtype
        narrow, wide = hidden.to(kind), table.to(kind)
        of_hidden, of_table = torch.empty_like(hidden), torch.zeros_like(table)
        total = hidden.new_zeros(())
        for start in range(0, len(hidden), SLICE):
            rows = slice(start, start + SLICE)
            part, wanted = narrow[rows], targets[rows, None]
            shares = torch.softmax((part * scale) @ wide.T, dim=1)
            chosen = shares.gather(1, wanted)
            total -= chosen.float().clamp(min=1e-30).log().sum()
            shares.scatter_(1, wanted, chosen - 1)
            of_hidden[rows] = (shares @ wide).to(hidden.dtype)
            of_table += shares.T @ part
        ctx.save_for_backward(of_hidden, of_table)
        ctx.factor = scale / len(hidden)
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_hidden, of_table = ctx.saved_tensors
        factor = gradients[0] * ctx.factor
        return of_hidden * factor, of_table * factor, None, None


def full_softmax(hidden: Tensor, table: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of `targets (m,)` for `hidden (m, d)` against every row of `table (n, d)`."""
    loss: Tensor = _FullSoftmax.apply(hidden, table, targets, 1 / (temperature or 1.0))
    return loss


def sampled_softmax(hidden: Tensor, table: Tensor, targets: Tensor, temperature: float, negatives: int) -> Tensor:
    """Return the mean cross-entropy against `negatives` items drawn uniformly for the whole batch.

    Their logits are raised by the log of how many items each stands for (logQ: Bengio, Senécal 2008).
    """
    drawn = torch.randint(len(table), (negatives,), device=hidden.device)
    scale = 1 / (temperature or 1.0)
    own = (hidden * table[targets]).sum(dim=1, keepdim=True) * scale
    others = (hidden @ table[drawn].T).float() * scale + math.log(max(len(table) / negatives, 1.0))
    others = others.masked_fill(drawn == targets[:, None], -torch.inf)
    return functional.cross_entropy(torch.cat((own.float(), others), dim=1), torch.zeros_like(targets))

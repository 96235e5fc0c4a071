"""The networks of the two towers."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from kindred.core.candidates import Floats, Mask
from kindred.models.two_tower import CONTEXT, SIGNALS, TowerInputs, TwoTowerConfig

LOUDEST = 5.0
"""Bound of a row's log weight: no row of a history counts e^10 times another."""


class ItemBase(nn.Module):
    """What both towers read of an item: its id's embedding plus a projection of its content.

    `identified (n,) bool` marks the items whose ids are learnt; others have content alone.
    """

    content: Tensor
    identified: Tensor

    def __init__(self, content: Tensor, identified: Tensor, width: int) -> None:
        """Take the content (n, c) and draw embeddings."""
        super().__init__()
        self.ids = nn.Embedding(len(content), width)
        nn.init.normal_(self.ids.weight, std=width**-0.5)
        self.describe = nn.Linear(content.shape[1], width, bias=False) if content.shape[1] else None
        self.register_buffer("content", content, persistent=False)
        self.register_buffer("identified", identified, persistent=False)

    def forward(self, items: Tensor, hidden: float = 0.0) -> Tensor:
        """Return (..., e) for ordinals (...); a share `hidden` of them without their ids."""
        shown = self.identified[items]
        if hidden:
            shown = shown & (torch.rand(items.shape, device=items.device) >= hidden)
        base: Tensor = self.ids(items) * shown[..., None]
        return base if self.describe is None else base + self.describe(self.content[items])


class ItemTower(nn.Module):
    """Layers from an item's base to its vector of length 1."""

    def __init__(self, config: TwoTowerConfig) -> None:
        """Build the layers."""
        super().__init__()
        self.layers = stack(config.embedding, config.layers)

    def forward(self, base: Tensor) -> Tensor:
        """Return (b, d) for bases (b, e)."""
        return normalize(self.layers(base), dim=-1)


class UserTower(nn.Module):
    """Weighted means of a history, and layers from them to a vector of length 1.

    A row's weight in each of the means comes of its item, its confidence, age, place and event type; disliked items
    make a mean of their own.
    """

    def __init__(self, config: TwoTowerConfig, n_types: int) -> None:
        """Build the layers; `n_types`: event types, the unknown one included."""
        super().__init__()
        self.of_item = nn.Linear(config.embedding, config.heads, bias=False)
        self.of_signals = nn.Linear(SIGNALS, config.heads)
        self.of_type = nn.Embedding(n_types, config.heads)
        nn.init.zeros_(self.of_type.weight)
        self.layers = stack((config.heads + 1) * config.embedding + CONTEXT, config.layers)

    def forward(
        self, vectors: Tensor, liked: Tensor, disliked: Tensor, signals: Tensor, types: Tensor, context: Tensor
    ) -> Tensor:
        """Return (b, d) for what `kindred.models.two_tower.TowerInputs` describes, and vectors (b, h, e)."""
        loud = self.of_item(vectors) + self.of_signals(signals) + self.of_type(types)
        weights = torch.exp(LOUDEST * torch.tanh(loud / LOUDEST)) * liked[..., None]
        weights = torch.cat((weights, disliked[..., None]), dim=2)
        shares = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
        means = torch.einsum("bhk,bhe->bke", shares, vectors)
        return normalize(self.layers(torch.cat((means.flatten(1), context), dim=1)), dim=-1)


class Towers(nn.Module):
    """Both towers and what they share."""

    def __init__(self, content: Floats, identified: Mask, n_types: int, config: TwoTowerConfig) -> None:
        """Build them for items with `content (n, c)`, of which `identified (n,)` have ids to learn."""
        super().__init__()
        self.base = ItemBase(torch.from_numpy(content), torch.from_numpy(identified), config.embedding)
        self.item = ItemTower(config)
        self.user = UserTower(config, n_types)

    def users(self, inputs: TowerInputs, device: torch.device) -> Tensor:
        """Return the vectors (b, d) of users."""
        columns = {name: torch.from_numpy(column).to(device) for name, column in inputs.columns().items()}
        # An item stands in many histories of a batch; its base is made once.
        items, places = np.unique(inputs.items, return_inverse=True)
        bases = self.base(torch.from_numpy(items).long().to(device))
        vectors: Tensor = self.user(embedding(torch.from_numpy(places).to(device), bases), **columns)
        return vectors


def stack(width: int, layers: Sequence[int]) -> nn.Sequential:
    """Return linear layers of the given widths with a rectifier between each two."""
    parts: list[nn.Module] = []
    for wide in layers:
        parts += [nn.Linear(width, wide), nn.ReLU()]
        width = wide
    return nn.Sequential(*parts[:-1])

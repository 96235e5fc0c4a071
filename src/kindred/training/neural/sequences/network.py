"""A causal transformer over item vectors: SASRec (Kang, McAuley 2018) with norms before the sub-layers, SwiGLU
(Shazeer 2020) and the gates of LiGR (Borisyuk et al. 2025).
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from kindred.models.sequential import GAPS, SequentialConfig


class Dropout(nn.Module):
    """Inverted dropout; on a CPU its mask takes a byte of randomness a value, a tenth of torch's own cost."""

    def __init__(self, share: float) -> None:
        """Zero this share of the values in training, to a 256th."""
        super().__init__()
        self.share = share
        self.threshold = round(share * 256)

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, of any shape, some of them zeroed and the rest scaled up."""
        if not self.training or not self.threshold:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.share)
        words = torch.empty(values.numel() // 8 + 1, dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.uint8)[: values.numel()].view(values.shape)
        keep = (drawn >= self.threshold).to(values.dtype)
        return values * keep.mul_(256 / (256 - self.threshold))


class Attention(nn.Module):
    """Causal self-attention with a learned bias by distance (Shaw et al. 2018; Raffel et al. 2020)."""

    def __init__(self, width: int, heads: int, length: int) -> None:
        """Attend with `heads` heads, each over its share of `width`, to at most `length` places."""
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)
        self.distances = nn.Parameter(torch.zeros(heads, length))

    def forward(self, values: Tensor) -> Tensor:
        """Return (b, l, d) for (b, l, d); each place sees itself and those before it."""
        b, length, width = values.shape
        split = self.inward(values).view(b, length, 3, self.heads, width // self.heads)
        queries, keys, content = split.permute(2, 0, 3, 1, 4).unbind()
        places = torch.arange(length, device=values.device)
        distance = places[:, None] - places
        bias = self.distances[:, distance.clamp(min=0)].masked_fill(distance < 0, -1e9).to(queries.dtype)
        # Written out: the fused kernel's backward pass takes many times longer on a CPU.
        scores = (queries * keys.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        mixed = torch.softmax(scores + bias, dim=-1) @ content
        return cast(Tensor, self.outward(mixed.transpose(1, 2).reshape(b, length, width)))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, width: int, inner: int) -> None:
        """Widen to `inner` and come back."""
        super().__init__()
        self.inward = nn.Linear(width, 2 * inner, bias=False)
        self.outward = nn.Linear(inner, width, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return (..., d) for (..., d)."""
        gate, content = self.inward(values).chunk(2, dim=-1)
        return cast(Tensor, self.outward(functional.silu(gate) * content))


class Residual(nn.Module):
    """A sub-layer behind a norm, gated by what it adds to."""

    def __init__(self, inner: nn.Module, width: int, dropout: float) -> None:
        """Wrap `inner`, a map of (b, l, d)."""
        super().__init__()
        self.norm = nn.LayerNorm(width, bias=False)
        self.inner = inner
        self.gate = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Return (b, l, d) for (b, l, d)."""
        added = self.inner(self.norm(values)) * torch.sigmoid(self.gate(values))
        return values + cast(Tensor, self.dropout(added))


class Encoder(nn.Module):
    """From the vectors of a user's items to a vector at each place that the next item's is near to."""

    def __init__(self, config: SequentialConfig, event_types: int) -> None:
        """Build it for codes of event types from 1 to `event_types`."""
        super().__init__()
        width = config.factors
        self.normalised = config.temperature > 0
        self.places = nn.Embedding(config.max_length, width)
        self.gaps = nn.Embedding(GAPS, width)
        self.types = nn.Embedding(event_types + 1, width)
        for table in (self.places, self.gaps, self.types):
            nn.init.normal_(table.weight, std=0.02)
        self.dropout = Dropout(config.dropout)
        blocks: list[nn.Module] = []
        for _ in range(config.layers):
            blocks.append(Residual(Attention(width, config.heads, config.max_length), width, config.dropout))
            blocks.append(Residual(FeedForward(width, config.inner), width, config.dropout))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(self, vectors: Tensor, places: Tensor, gaps: Tensor, types: Tensor, latest: int = 0) -> Tensor:
        """Return (b, l, d) for item vectors (b, l, d) and the codes (b, l) of place, gap and event type.

        `latest`: of so many places alone (0: of all), without the work that is for the others only.
        """
        known = vectors * vectors.shape[-1] ** 0.5 + self.places(places) + self.gaps(gaps) + self.types(types)
        # The last sub-layer looks at each place alone.
        attended = self.blocks[:-1](self.dropout(known))[:, -latest:]
        encoded = self.norm(self.blocks[-1](attended))
        return functional.normalize(encoded, dim=-1) if self.normalised else cast(Tensor, encoded)


class SequentialNetwork(nn.Module):
    """The encoder with the item vectors that it reads and is compared with."""

    def __init__(self, config: SequentialConfig, n_items: int, event_types: int, content: Tensor | None) -> None:
        """Make vectors for items `[0, n_items)`; `content (n_items, c)` adds what an item is to who chose it."""
        super().__init__()
        self.normalised = config.temperature > 0
        self.items = nn.Embedding(n_items, config.factors)
        nn.init.normal_(self.items.weight, std=0.02)
        self.register_buffer("content", content, persistent=False)
        self.described = None if content is None else nn.Linear(content.shape[1], config.factors, bias=False)
        self.encoder = Encoder(config, event_types)

    def table(self) -> Tensor:
        """Return the item vectors (n_items, d)."""
        table = self.items.weight
        if self.described is not None:
            table = table + self.described(self.content).to(table.dtype)
        return functional.normalize(table, dim=-1) if self.normalised else table

    def encode(self, table: Tensor, items: Tensor, places: Tensor, gaps: Tensor, types: Tensor) -> Tensor:
        """Return (b, l, d) for rows (b, l) of items and their codes; a place of -1 is filled up."""
        vectors = functional.embedding(items, table)
        return cast(Tensor, self.encoder(vectors, places.clamp(min=0), gaps, types))

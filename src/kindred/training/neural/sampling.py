"""Sampled softmax: which items a batch's next items are told from, and the loss over them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from kindred.core.candidates import Mask


@dataclass(frozen=True, slots=True)
class Pool:
    """The items that a batch's next items are told from.

    `items (p,) int64`; `places (b,) int64`: where each row's next item stands among them; `log_expected (p,) float32`:
    log of how often the item is expected in a pool.
    """

    items: NDArray[np.int64]
    places: NDArray[np.int64]
    log_expected: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws pools: `items (k,)` are drawn uniformly, `negatives` of them; `popularity (n,)` sums to 1 over targets."""

    items: NDArray[np.int64]
    popularity: NDArray[np.float64]
    negatives: int

    @classmethod
    def over(cls, usable: Mask, targets: NDArray[np.int64], negatives: int) -> "Sampler":
        """Draw from the `usable (n,)` items, for batches from all `targets (m,)`."""
        counts = np.bincount(targets, minlength=len(usable))
        return cls(np.flatnonzero(usable), counts / max(counts.sum(), 1), negatives)

    def pool(self, targets: NDArray[np.int64], rng: np.random.Generator) -> Pool:
        """Mix the batch's own items with uniform ones (Yang et al. 2020); take all items where that would be as many.

        The batch's own come as often as they are popular, which the expected counts allow for.
        """
        if len(targets) + self.negatives >= len(self.items):
            return Pool(self.items, np.searchsorted(self.items, targets), np.zeros(len(self.items), np.float32))
        drawn = self.items[rng.integers(len(self.items), size=self.negatives)]
        items = np.concatenate((targets, drawn))
        expected = len(targets) * self.popularity[items] + self.negatives / len(self.items)
        return Pool(items, np.arange(len(targets)), np.log(expected).astype(np.float32))


def sampled_softmax(users: Tensor, items: Tensor, pool: Pool, weights: Tensor, temperature: float) -> Tensor:
    """Return the weighted mean cross entropy of each row's next item in the pool.

    Scores are inner products over `temperature`, less the log of the expected count (Yi et al. 2019). Where the next
    item stands in the pool a second time it is no negative. `users (b, d)`, `items (p, d)`, `weights (b,)`.
    """
    ordinals = torch.from_numpy(pool.items).to(users.device)
    places = torch.from_numpy(pool.places).to(users.device)
    logits = (users @ items.T).float() / temperature - torch.from_numpy(pool.log_expected).to(users.device)
    again = ordinals[None, :] == ordinals[places][:, None]
    again.scatter_(1, places[:, None], value=False)
    losses = cross_entropy(logits.masked_fill(again, -torch.inf), places, reduction="none")
    return (losses * weights).sum() / weights.sum()

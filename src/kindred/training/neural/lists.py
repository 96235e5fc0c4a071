"""Candidates of requests as the ranker's network learns and is judged: rows put into lists."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.evaluation import metrics
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import top_k

CUTOFF = 10


@dataclass(frozen=True, slots=True)
class Lists:
    """Rows of q lists, n in all, one list after the other.

    `columns (n, f) float32`, `labels (n, e) bool` per event type, `relevant (n,) bool`, `requests (n,) int32`
    ascending: which list.
    """

    columns: Floats
    labels: Mask
    relevant: Mask
    requests: Ordinals

    def __len__(self) -> int:
        """Return n."""
        return len(self.requests)

    def take(self, rows: Mask) -> Self:
        """Return some of the rows."""
        return type(self)(self.columns[rows], self.labels[rows], self.relevant[rows], self.requests[rows])

    def split(self, held: float, rng: np.random.Generator) -> tuple[Self, Self]:
        """Return the lists that are learnt from and the share of them that is held out, at least one of either."""
        lists = np.unique(self.requests)
        count = min(max(1, round(held * len(lists))), max(len(lists) - 1, 0))
        apart = np.isin(self.requests, rng.permutation(lists)[:count])
        return self.take(~apart), self.take(apart)

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each row the number of its list, without gaps, and its place in it."""
        _, starts, lists = np.unique(self.requests, return_index=True, return_inverse=True)
        return lists, np.arange(len(self)) - starts[lists]

    def ndcg(self, margins: Floats) -> float:
        """Return the mean NDCG@10 of the order by `margins (n,)`, of lists with anything relevant; 0 without any."""
        if not self.relevant.any():
            return 0.0
        lists, places = self.places()
        scores = np.full((lists[-1] + 1, places.max() + 1), -np.inf)
        scores[lists, places] = margins
        wanted = from_pairs(lists[self.relevant], places[self.relevant].astype(np.int32), len(scores))
        return float(np.nanmean(metrics.ndcg(metrics.judge(top_k(scores, CUTOFF), wanted), CUTOFF)))

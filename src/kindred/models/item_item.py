"""Item-item neighbourhoods: the best k of each item by one of several similarities."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kindred.core.candidates import Floats
from kindred.core.config import Amount, Config, Count, MoreThanZero, Share
from kindred.models.operator import Operator, OperatorMeta
from kindred.models.search import Choice, Range, Space, Whole


class ItemItemConfig(Config, frozen=True, kw_only=True):
    """How neighbours are found.

    `similarity`: `cosine` of the users' weights; `jaccard`, the shared part of both items' users; `llr`, how surprising
    it is that they share so many (log-likelihood ratio); `bm25`, the product of BM25 weights. `neighbours`: kept per
    item. `shrinkage`: of `cosine` added to the product of norms, of `jaccard` to the number of users, so that a pair
    seen together once is not a perfect match. `amplification`: power of a similarity when a history is scored, so that
    few near items say more than many far ones; 1 takes them as they are. `max_user_items`: the latest items of a user
    that count. `user_weighting`: of `cosine`, `iuf` lessens users with long histories by `log1p(n_items / history)`,
    `none` treats all alike. `bm25_k1`: how far the weight on an item may rise. `bm25_b`: how much popular items are
    lessened, 0 to 1. `block_products`: upper bound on the products held in memory at once (12 bytes each).
    """

    similarity: Literal["cosine", "jaccard", "llr", "bm25"] = "cosine"
    neighbours: Count = 100
    shrinkage: Amount = 200.0
    amplification: MoreThanZero = 2.0
    max_user_items: Count = 500
    user_weighting: Literal["iuf", "none"] = "iuf"
    bm25_k1: MoreThanZero = 100.0
    bm25_b: Share = 0.8
    block_products: Count = 20_000_000


SEARCH: Space = {
    "similarity": Choice(("cosine", "jaccard", "llr", "bm25")),
    "neighbours": Whole(20, 300, log=True),
    "shrinkage": Range(1.0, 2_000.0, log=True),
    "amplification": Range(0.5, 4.0),
}
"""What tuning chooses from."""


@dataclass(frozen=True, slots=True)
class ItemItemModel(Operator[ItemItemConfig]):
    """The nearest items of every ordinal, similarities in (0, 1]."""

    meta = OperatorMeta[ItemItemConfig]
    file = "item_item"

    def strengths(self, similarities: Floats) -> Floats:
        """Return similarities raised to the configured power (case amplification: Breese, Heckerman, Kadie 1998)."""
        power = self.config.amplification
        raised: Floats = np.square(similarities) if power == 2.0 else similarities ** np.float32(power)
        return raised

"""cornac: EASE (Steck 2019) and BPR (Rendle et al. 2009)."""

import numpy as np
from cornac.data import Dataset
from cornac.models import BPR, EASE
from cornac.models.recommender import Recommender
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.quality.peers.contest import ScoreBlock, Settings, compete

SEED = 42


def ease(train: csr_matrix, settings: Settings) -> ScoreBlock:
    return _fitted(EASE(**settings, verbose=False, seed=SEED), train)


def bpr(train: csr_matrix, settings: Settings) -> ScoreBlock:
    return _fitted(BPR(**settings, verbose=False, seed=SEED), train)


def _fitted(model: Recommender, train: csr_matrix) -> ScoreBlock:
    """Fit a model; the package numbers users and items in the order in which it meets them."""
    rows = train.tocoo()
    data = Dataset.from_uir(zip(rows.row.tolist(), rows.col.tolist(), rows.data.tolist(), strict=True), seed=SEED)
    model.fit(data)
    items = np.array([data.iid_map[item] for item in range(train.shape[1])])

    def block(start: int, stop: int) -> NDArray[np.floating]:
        return np.stack([np.ravel(model.score(data.uid_map[user]))[items] for user in range(start, stop)])

    return block


compete({"ease": ease, "bpr": bpr})

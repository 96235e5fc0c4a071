"""LensKit: implicit ALS (Hu, Koren, Volinsky 2008) and item neighbours (Deshpande and Karypis 2004)."""

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import Dataset, ItemList, RecQuery, from_interactions_df
from lenskit.knn import ItemKNNScorer
from lenskit.training import TrainingOptions
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.quality.peers.contest import ScoreBlock, Settings, compete, factors

OPTIONS = TrainingOptions(rng=42)


def als(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model, data = ImplicitMFScorer(**settings), _dataset(train)
    model.train(data, OPTIONS)
    users, items = (
        each.numbers(np.arange(n)) for each, n in ((data.users, train.shape[0]), (data.items, train.shape[1]))
    )
    return factors(model.user_embeddings[users], model.item_embeddings[items])


def neighbours(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model = ItemKNNScorer(feedback="implicit", **settings)
    model.train(_dataset(train), OPTIONS)
    every = ItemList(item_ids=np.arange(train.shape[1]))

    def block(start: int, stop: int) -> NDArray[np.floating]:
        return np.stack([_scores(model, train, user, every) for user in range(start, stop)])

    return block


def _scores(model: ItemKNNScorer, train: csr_matrix, user: int, every: ItemList) -> NDArray[np.floating]:
    history = ItemList(item_ids=train.indices[train.indptr[user] : train.indptr[user + 1]])
    return model(RecQuery(user_id=user, user_items=history), every).scores()


def _dataset(train: csr_matrix) -> Dataset:
    rows = train.tocoo()
    return from_interactions_df(pd.DataFrame({"user_id": rows.row, "item_id": rows.col}))


compete({"als": als, "neighbours": neighbours})

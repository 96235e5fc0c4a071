"""RecTools: EASE (Steck 2019) and truncated singular vectors (PureSVD: Cremonesi et al. 2010)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import EASEModel, PureSVDModel
from rectools.models.base import ModelBase
from scipy.sparse import csr_matrix

from benchmarks.quality.peers.contest import ScoreBlock, Settings, compete


def ease(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model, data = EASEModel(**settings, recommend_n_threads=1), _dataset(train)
    model.fit(data)
    return _lists(model, data, train.shape[1])


def svd(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model, data = PureSVDModel(**settings, recommend_n_threads=1), _dataset(train)
    model.fit(data)
    return _lists(model, data, train.shape[1])


def _dataset(train: csr_matrix) -> Dataset:
    rows = train.tocoo()
    columns = {Columns.User: rows.row, Columns.Item: rows.col, Columns.Weight: rows.data}
    return Dataset.construct(pd.DataFrame({**columns, Columns.Datetime: "2020-01-01"}))


def _lists(model: ModelBase, data: Dataset, n_items: int) -> ScoreBlock:
    """Score by the place in the package's own lists, which leave out seen items."""

    def block(start: int, stop: int) -> NDArray[np.floating]:
        found = model.recommend(np.arange(start, stop), data, k=20, filter_viewed=True)
        scores = np.full((stop - start, n_items), -np.inf)
        scores[found[Columns.User].to_numpy() - start, found[Columns.Item].to_numpy()] = -found[Columns.Rank].to_numpy()
        return scores

    return block


compete({"ease": ease, "svd": svd})

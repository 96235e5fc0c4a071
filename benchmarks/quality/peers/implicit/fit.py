"""implicit: ALS (Hu, Koren, Volinsky 2008), BPR (Rendle et al. 2009), and BM25-weighted neighbours."""

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender
from scipy.sparse import csr_matrix

from benchmarks.quality.peers.contest import ScoreBlock, Settings, compete, factors, neighbours

SEED = 42


def als(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model = AlternatingLeastSquares(**settings, num_threads=1, random_state=SEED)
    model.fit(train, show_progress=False)
    return factors(model.user_factors, model.item_factors)


def bpr(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model = BayesianPersonalizedRanking(**settings, num_threads=1, random_state=SEED)
    model.fit(train, show_progress=False)
    return factors(model.user_factors, model.item_factors)


def bm25(train: csr_matrix, settings: Settings) -> ScoreBlock:
    model = BM25Recommender(**settings, num_threads=1)
    model.fit(train, show_progress=False)
    return neighbours(train.astype(np.float64), model.similarity)


compete({"als": als, "bpr": bpr, "bm25": bm25})

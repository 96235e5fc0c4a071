"""Ranking examples with a planted truth, for tests of what is learned."""

import numpy as np

from kindred.models.ranker import RankerConfig, RankerSchema
from kindred.training.ranking.examples import RankingExamples

QUIET = RankerConfig(trees=20, depth=3, min_weight=1.0, penalty=1.0, rows=1.0, columns=1.0)


def planted(requests: int = 240, each: int = 40, signal: float = 3.0, seed: int = 1) -> RankingExamples:
    """Return requests in which purchases follow column `secret` by a logistic curve, and the blend a weaker column."""
    rng = np.random.default_rng(seed)
    n = requests * each
    secret, open_, noise = rng.normal(size=(3, n)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(signal * secret + open_ - 4)))
    bought = rng.random(n) < chance
    of = np.repeat(np.arange(requests, dtype=np.int32), each)
    return RankingExamples(
        schema=RankerSchema(("blend", "noise", "secret")),
        events=("purchase",),
        columns=np.stack([open_, noise, secret], axis=1),
        requests=of,
        items=np.tile(np.arange(each, dtype=np.int32), requests),
        blend=open_,
        labels=bought[:, None],
        weights=np.ones(n, np.float32),
        relevant=bought,
        users=np.arange(requests, dtype=np.int64),
        moments=np.zeros(requests, np.int64),
        wanted=np.bincount(of, bought, requests).astype(np.int64),
    )

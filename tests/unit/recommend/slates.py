"""Small made-up requests, candidates and worlds for the stages that order a slate."""

from types import SimpleNamespace

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Context, Filters, Params, Query
from kindred.recommend.config import RecommendConfig


def query(count, seed=1, filters=None, **params) -> Query:
    asked = Params(**{"diversity": 0.0, "category_cap": 1.0, "exploration": 0.0, **params})
    return Query(
        user_id="u",
        request_id="r",
        context=Context(time=0),
        count=count,
        params=asked,
        seed=seed,
        filters=filters or Filters(),
    )


def world(groups, vectors=None, creators=None, **config):
    """Return what those stages read of a world; `groups`: primary categories."""
    vectors = np.eye(len(groups), 8, dtype=np.float32) if vectors is None else vectors
    table = SimpleNamespace(
        primary=np.array(groups, np.int32),
        creator=np.array([-1] * len(groups) if creators is None else creators, np.int32),
        primaries=len({group for group in groups if group >= 0}),
    )
    return SimpleNamespace(
        table=table,
        content_vectors=lambda items: vectors[items],
        config=RecommendConfig(**{"serendipity": 0.0, **config}),
    )


def ranked(n, new=(), serendipity=(), **columns) -> Candidates:
    """Return n candidates, best first, item = row; those in `new` and `serendipity` are in the pools, all alike."""
    for name, rows in (("pool.new", list(new)), ("pool.serendipity", list(serendipity))):
        columns[name] = np.zeros(n, np.float32)
        columns[name][rows] = 1 / max(len(rows), 1)
    return Candidates(np.arange(n, dtype=np.int32), {"score": np.linspace(1, 0, n, dtype=np.float32), **columns})

"""Learn how to blend models: the weights whose order of past candidates finds most of what users did next."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DEPTH = 10
DRAWS = 250
SPREAD = 0.7
RESAMPLES = 200


class BlendExamples(NamedTuple):
    """Candidates of u users, padded to c, with what m models say of them.

    `columns (u, c, m) float32`; the blended score is `base + factor * (columns @ weights)` with `base (u, c) float32`
    (-inf where padded) and `factor (u, c) float32`; `relevant (u, c) bool`; `wanted (u,) int64`: how many items the
    user wanted in all, found among the candidates or not.
    """

    columns: NDArray[np.float32]
    base: NDArray[np.float32]
    factor: NDArray[np.float32]
    relevant: NDArray[np.bool_]
    wanted: NDArray[np.int64]

    def take(self, users: NDArray[np.bool_]) -> "BlendExamples":
        """Return the examples of some users."""
        return BlendExamples(
            self.columns[users], self.base[users], self.factor[users], self.relevant[users], self.wanted[users]
        )


def blend_ndcg(examples: BlendExamples, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each user's NDCG@10 (u,) when candidates are ordered by the blend of `weights (m,)`."""
    scores = examples.base + examples.factor * (examples.columns @ weights.astype(np.float32))
    depth = min(DEPTH, scores.shape[1])
    top = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    ranked = np.take_along_axis(top, order, axis=1)
    discounts = 1.0 / np.log2(np.arange(2, DEPTH + 2))
    gained = (np.take_along_axis(examples.relevant, ranked, axis=1) * discounts[:depth]).sum(axis=1)
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(examples.wanted, DEPTH)]
    found: NDArray[np.float64] = gained / np.maximum(ideal, 1e-12)
    return found


def learn_weights(
    examples: BlendExamples, names: Sequence[str], prior: Mapping[str, float], prior_users: int, seed: int
) -> dict[str, float]:
    """Return weights by model that sum to 1: the best of many random ones, bagged over resamples of the users.

    The mean NDCG@10 of some hundred users has many chance peaks, so no single best is taken: each resample names its
    own, and those are averaged (Breiman 1996), with the prior as `prior_users` more users. The same seed gives the
    same weights.
    """
    before = _scaled(np.array([max(prior.get(name, 0.0), 0.0) for name in names]))
    useful = np.asarray(examples.columns.any(axis=(0, 1)), np.bool_)
    if not useful.any():
        return dict(zip(names, before.tolist(), strict=True))
    generator = np.random.default_rng(seed)
    drawn = [_scaled(np.asarray(draw * useful)) for draw in generator.dirichlet(np.full(len(names), SPREAD), DRAWS)]
    tried = np.stack([before, *np.eye(len(names))[useful], *drawn])
    values = np.stack([blend_ndcg(examples, weights) for weights in tried])
    users = values.shape[1]
    times = generator.multinomial(users, np.full(users, 1 / users), RESAMPLES)
    best = tried[np.argmax(values @ times.T, axis=0)].mean(axis=0)
    mixed = (users * best + prior_users * before) / (users + prior_users)
    return dict(zip(names, mixed.tolist(), strict=True))


def _scaled(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights))

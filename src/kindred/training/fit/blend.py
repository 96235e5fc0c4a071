"""Learn how to blend models: the weights whose order of past candidates finds most of what users did next."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DEPTH = 10
RESTARTS = 24
REFINED = 3
ROUNDS = 6
STEPS = (0.0, 0.5, 0.8, 1.25, 2.0, 4.0)
_START = 0.05


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
    """Return weights by model that sum to 1: coordinate ascent from the prior and from random starts.

    The best weights found for the mean NDCG@10 are averaged with the prior, which counts as `prior_users` users, so
    that a handful of users moves little. The same seed gives the same weights.
    """
    before = _scaled(np.array([max(prior.get(name, 0.0), 0.0) for name in names]))
    useful = np.asarray(examples.columns.any(axis=(0, 1)), np.bool_)
    generator = np.random.default_rng(seed)
    starts = [before, _scaled(useful.astype(np.float64)), *np.eye(len(names))[useful]]
    starts += [
        _scaled(np.asarray(draw * useful, np.float64)) for draw in generator.dirichlet(np.ones(len(names)), RESTARTS)
    ]
    ranked = sorted(starts, key=lambda weights: -_value(examples, weights))
    best = max((_ascend(examples, start, useful) for start in ranked[:REFINED]), key=lambda found: found[0])[1]
    users = len(examples.wanted)
    mixed = (users * best + prior_users * before) / max(users + prior_users, 1)
    return {name: float(weight) for name, weight in zip(names, mixed, strict=True)}


def _ascend(
    examples: BlendExamples, start: NDArray[np.float64], useful: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    """Change one weight at a time while it helps."""
    weights, value = start, _value(examples, start)
    for _ in range(ROUNDS):
        before = value
        for place in np.flatnonzero(useful).tolist():
            for step in STEPS:
                tried = weights.copy()
                tried[place] = max(weights[place], _START if step > 1 else 0.0) * step
                if not tried.any():
                    continue
                tried = _scaled(tried)
                reached = _value(examples, tried)
                if reached > value + 1e-6:
                    weights, value = tried, reached
        if value <= before:
            break
    return value, weights


def _value(examples: BlendExamples, weights: NDArray[np.float64]) -> float:
    return float(blend_ndcg(examples, weights).mean())


def _scaled(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights))

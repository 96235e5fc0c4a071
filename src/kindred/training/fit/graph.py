"""Fit the graph filter: the strongest signals on the normalised graph, and the rows of the operator they make."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags_array, eye_array
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from kindred.core.candidates import Floats
from kindred.core.config import check
from kindred.models.arrays import top_k
from kindred.models.graph import GraphConfig, GraphModel
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.item_item import liked_matrix

BLOCK_BYTES = 1 << 26
ITERATIONS = 4


def fit_graph(data: FitInput, config: GraphConfig) -> GraphModel:
    """Filter the graph of users and liked items and keep each item's strongest others.

    Raises InvalidInput for a setting that cannot be used. The same seed gives the same model.
    """
    check(config, "/graph")
    liked = liked_matrix(data.preferences, data.n_items, config.max_user_items)
    nearest = np.full((data.n_items, config.neighbours), -1, np.int32)
    values = np.zeros((data.n_items, config.neighbours), np.float32)
    if liked.nnz:
        with threadpool_limits(limits=data.threads or None):
            for item, row in GraphFilter.of(liked, config).rows():
                if not config.own_items:
                    row[item] = 0
                best = top_k(row, config.neighbours)
                nearest[item, : len(best)], values[item, : len(best)] = best, row[best]
    return GraphModel(nearest, values, config)


@dataclass(frozen=True, slots=True)
class GraphFilter:
    """The whole operator, never written out: two steps on the graph, and the signals that are lifted above them.

    With `G = Dᵤ^-a R Dᵢ^-1/2` (Dᵤ, Dᵢ: sums of rows and columns of R) scaled to a highest singular value of 1, and its
    right singular vectors V with eigenvalues λ of `GᵀG`, a history x is answered with
    `x Dᵢ^-b (GᵀG + V max(lift - λ, 0) Vᵀ) Dᵢ^c`: the linear filter and low-pass part of GF-CF (Shen et al. 2021), the
    powers of degrees of LinkProp (Fu et al. 2022) and ChebyCF (Kim et al. 2025), and a low-pass part that lifts each
    signal to one level instead of by one amount, so that those that are strong anyway are not counted twice.
    """

    graph: csr_matrix
    signals: Floats
    lifted: Floats
    history: Floats
    target: Floats

    @classmethod
    def of(cls, liked: csr_matrix, config: GraphConfig) -> "GraphFilter":
        """Find the signals of confidences `liked (users, n) float32`, of which one at least is not 0."""
        by_user, by_item = (np.asarray(liked.sum(axis=axis), np.float32).ravel() for axis in (1, 0))
        graph = diags_array(_power(by_user, -config.user_power)) @ liked @ diags_array(_power(by_item, -0.5))
        count = min(max(config.frequencies, 1), min(liked.shape))
        _, values, signals = randomized_svd(graph, count, n_iter=ITERATIONS, random_state=config.seed)
        eigenvalues = np.square(values / values[0])
        lifted = np.maximum(config.lift - eigenvalues, 0) * (config.frequencies > 0)
        return cls(
            csr_matrix(graph / values[0], dtype=np.float32),
            np.ascontiguousarray(signals.T, np.float32),
            lifted.astype(np.float32),
            _power(by_item, -config.history_power),
            _power(by_item, config.target_power),
        )

    def __call__(self, histories: csr_matrix) -> Floats:
        """Return the scores (h, n) float32 of histories (h, n) of confidences."""
        weighted = (histories @ diags_array(self.history)).tocsr()
        scores: Floats = (weighted @ self.graph.T @ self.graph).toarray()
        scores += ((weighted @ self.signals) * self.lifted) @ self.signals.T
        scores *= self.target
        return scores

    def rows(self) -> Iterator[tuple[int, Floats]]:
        """Go through the items of the graph: ordinal, the row (n,) float32 of what it speaks for."""
        n = self.graph.shape[1]
        items = np.flatnonzero(np.bincount(self.graph.indices, minlength=n))
        size = max(BLOCK_BYTES // (4 * n), 1)
        for start in range(0, len(items), size):
            block = items[start : start + size]
            yield from zip(block.tolist(), self(eye_array(n, dtype=np.float32, format="csr")[block]), strict=True)


def _power(sums: Floats, exponent: float) -> Floats:
    """Return sums raised to a power, 0 where there was nothing to sum."""
    return np.where(sums > 0, np.maximum(sums, np.float32(1e-12)) ** np.float32(exponent), 0).astype(np.float32)

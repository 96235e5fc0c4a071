"""Fit EASE (Steck 2019): all weights at once by LAPACK, or item by item from its nearest where there are many."""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import lapack, solve
from scipy.sparse import csr_matrix

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import check
from kindred.core.errors import InvalidInput
from kindred.models.arrays import top_k
from kindred.models.ease import EaseConfig, EaseModel
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.item_item import keep_best, liked_matrix

ROWS = 512


def fit_ease(data: FitInput, config: EaseConfig) -> EaseModel:
    """Regress each item on the others over the users' confidences and keep the largest positive weights of each.

    Confidences are divided by their mean square, so that λ means the same whatever their scale; dislikes teach nothing
    and count when a history is scored. Raises InvalidInput for a setting that cannot be used.
    """
    check(config, "/ease")
    liked = liked_matrix(data.preferences, data.n_items, config.max_user_items)
    liked.data /= np.sqrt(np.mean(np.square(liked.data))) if liked.nnz else np.float32(1)
    items = np.flatnonzero(np.bincount(liked.indices, minlength=data.n_items) >= config.min_users).astype(np.int32)
    nearest = np.full((data.n_items, config.neighbours), -1, np.int32)
    values = np.zeros((data.n_items, config.neighbours), np.float32)
    solved = _all_at_once if len(items) <= config.dense_items else _one_by_one
    for item, others, weights in solved(liked[:, items], config):
        keep_best(nearest[items[item]], values[items[item]], items[others], weights)
    return EaseModel(nearest, values, config)


def _all_at_once(liked: csr_matrix, config: EaseConfig) -> Iterator[tuple[int, Ordinals, Floats]]:
    """Go through the items: row, the others it speaks for, and weights `-P_ij / P_jj`, P the inverse of the Gram."""
    n = liked.shape[1]
    inverse = _inverse(liked, config.regularization) if n else np.empty((0, 0), np.float32)
    diagonal = inverse.diagonal().copy()
    for item in range(n):
        # The lower triangle alone is filled; an item's weight on itself comes out as -1.
        row = np.concatenate([inverse[item, :item], inverse[item:, item]])
        weights = (row / -diagonal).astype(np.float32, copy=False)
        others = np.flatnonzero(weights > 0).astype(np.int32)
        yield item, others, weights[others]


def _inverse(liked: csr_matrix, regularization: float) -> Floats:
    """Return the inverse of `XᵀX + λI` (n, n) float32, of which the lower triangle alone is filled.

    Cholesky factor and inverse stand in the place of the Gram matrix. Raises InvalidInput where it cannot be inverted.
    """
    n, by_item = liked.shape[1], liked.T.tocsr()
    gram = np.empty((n, n), np.float32, order="F")
    for start in range(0, n, ROWS):
        gram[:, start : start + ROWS] = (by_item[start : start + ROWS] @ liked).toarray().T
    np.einsum("ii->i", gram)[:] += np.float32(regularization)
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1, clean=0)
    inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise InvalidInput.at("/ease/regularization", "is too small for this data: the equations have no solution")
    return np.asarray(inverse, np.float32)


def _one_by_one(liked: csr_matrix, config: EaseConfig) -> Iterator[tuple[int, Ordinals, Floats]]:
    """Go through the items as above, each solved from its nearest alone (a sparse Markov random field, Steck 2019).

    What an item is solved from are its `local_items` nearest by cosine; the equations among those are exact.
    """
    n, by_item = liked.shape[1], liked.T.tocsr()
    squares = np.asarray(by_item.multiply(by_item).sum(axis=1), np.float32).ravel()
    targets, sources, weights = [], [], []
    for item in range(n):
        products = (by_item[item] @ liked).tocsr()
        others, dots = products.indices, products.data
        apart = others != item
        others, dots = others[apart], dots[apart]
        nearest = top_k(dots / (np.sqrt(squares[others] * squares[item]) + config.regularization), config.local_items)
        chosen = others[nearest]
        mine = by_item[chosen]
        gram = (mine @ mine.T).toarray()
        gram.flat[:: len(chosen) + 1] += np.float32(config.regularization)
        found = solve(gram, dots[nearest], assume_a="pos", overwrite_a=True, check_finite=False)
        targets.append(np.full(len(chosen), item, np.int32))
        sources.append(chosen)
        weights.append(np.maximum(found, 0))
    shape = (n, n)
    entries = np.concatenate(weights), (np.concatenate(sources), np.concatenate(targets))
    rows = csr_matrix(entries, shape=shape, dtype=np.float32)
    rows.eliminate_zeros()
    for item in range(n):
        columns = slice(rows.indptr[item], rows.indptr[item + 1])
        yield item, rows.indices[columns], rows.data[columns]

"""Fit implicit ALS with the solver of the `implicit` package."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from kindred.core.candidates import Floats
from kindred.core.config import check
from kindred.models.als import AlsConfig, AlsModel, Ridge
from kindred.models.arrays import known
from kindred.training.fit.inputs import FitInput

SHORTEST = 1e-5


def fit_als(data: FitInput, config: AlsConfig) -> AlsModel:
    """Learn item factors (Hu, Koren, Volinsky 2008; conjugate gradient: Takács, Pilászy, Tikk 2011).

    Confidences go in as they are, negative for a dislike, which is the package's own convention. The same seed gives
    the same factors; they are all zero where nobody liked anything. Raises InvalidInput for a setting that cannot be
    used.
    """
    check(config, "/als")
    rows = data.preferences.take(known(data.preferences.items, data.n_items))
    factors = np.zeros((data.n_items, config.factors), np.float32)
    if not rows.positive.any():
        ridge = Ridge(config.regularization)
        return AlsModel.from_factors(factors, factors[:0], ridge, ridge, config)
    users, by_user = np.unique(rows.users, return_inverse=True)
    items, by_item = np.unique(rows.items, return_inverse=True)
    numbered = replace(rows, users=by_user.astype(np.int32), items=by_item.astype(np.int32))
    matrix = numbered.to_csr(len(users), len(items))
    ridges = _ridges(matrix, config.effective(len(rows)), config.regularization_exponent)
    user_factors, found = _alternate(matrix, *ridges, config, data.threads)
    # A factor this short carries rounding alone; zero makes folding in say so.
    alive = np.linalg.norm(found, axis=1) > SHORTEST
    factors[items[alive]] = found[alive]
    return AlsModel.from_factors(factors, user_factors, *ridges, config)


def _ridges(matrix: csr_matrix, regularization: float, exponent: float) -> tuple[Ridge, Ridge]:
    """Return what holds the users, the rows, and the items short."""
    return (
        Ridge.fitted(regularization, exponent, matrix.shape[1], _extra(matrix, axis=1)),
        Ridge.fitted(regularization, exponent, matrix.shape[0], _extra(matrix, axis=0)),
    )


def _extra(matrix: csr_matrix, axis: int) -> Floats:
    """Return the confidences above 1 summed over an axis."""
    above = matrix.copy()
    above.data = np.abs(above.data) - np.float32(1)
    return np.asarray(above.sum(axis=axis), np.float32).ravel()


def _alternate(
    matrix: csr_matrix, ridge: Ridge, item_ridge: Ridge, config: AlsConfig, threads: int
) -> tuple[Floats, Floats]:
    """Solve users and items in turn and return their factors; all rows of one λ go to the solver together.

    First factors are normal with variance 1/d (Rendle et al. 2022): from there half of the iterations are enough that
    small positive ones, the package's own, need.
    """
    users, items = _order(ridge, matrix, axis=1), _order(item_ridge, matrix, axis=0)
    matrix = matrix[users.order][:, items.order].tocsr()
    drawn = np.random.default_rng(config.seed).standard_normal((len(items.order), config.factors), dtype=np.float32)
    mine, theirs = np.zeros((len(users.order), config.factors), np.float32), drawn / np.float32(np.sqrt(config.factors))
    sides = (
        (mine, theirs, users.parts(matrix, ridge)),
        (theirs, mine, items.parts(matrix.T.tocsr(), item_ridge)),
    )
    # Its threads work on whole rows; BLAS threads beneath them only fight over the cores.
    with threadpool_limits(limits=1, user_api="blas"):
        solver = AlternatingLeastSquares(factors=config.factors).solver
        for _ in range(config.iterations):
            for solved, given, parts in sides:
                for rows, place, regularization in parts:
                    solver(rows, solved[place], given, regularization, num_threads=threads)
    return users.undone(mine), items.undone(theirs)


class _Ordered(NamedTuple):
    """One side in the order of its steps: `order (m,)`, and the step of each (m,), ascending."""

    order: NDArray[np.intp]
    steps: NDArray[np.intp]

    def parts(self, matrix: csr_matrix, ridge: Ridge) -> list[tuple[csr_matrix, slice, float]]:
        """Return the rows of each step, where they stand, and their λ."""
        edges = [0, *(np.flatnonzero(np.diff(self.steps)) + 1).tolist(), len(self.steps)]
        return [
            (matrix[start:end], slice(start, end), ridge.at(int(self.steps[start]))) for start, end in pairwise(edges)
        ]

    def undone(self, factors: Floats) -> Floats:
        """Return factors (m, d) in the order they had before."""
        found = np.empty_like(factors)
        found[self.order] = factors
        return found


def _order(ridge: Ridge, matrix: csr_matrix, axis: int) -> _Ordered:
    steps = ridge.steps(_extra(matrix, axis))
    order = np.argsort(steps, kind="stable")
    return _Ordered(order, steps[order])

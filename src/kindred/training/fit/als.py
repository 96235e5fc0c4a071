"""Fit implicit ALS with the `implicit` package."""

from dataclasses import replace

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from kindred.core.errors import InvalidInput
from kindred.models.als import AlsConfig, AlsModel
from kindred.models.arrays import known
from kindred.training.fit.inputs import FitInput

SHORTEST = 1e-5


def fit_als(data: FitInput, config: AlsConfig) -> AlsModel:
    """Learn item factors (Hu, Koren, Volinsky 2008; conjugate gradient: Takács, Pilászy, Tikk 2011).

    Confidences go in as they are, negative for a dislike, which is the package's own convention. The same seed gives
    the same factors; they are all zero where nobody liked anything. Raises InvalidInput for a setting that cannot be
    used.
    """
    if config.factors < 1 or config.iterations < 1 or config.regularization <= 0:
        raise InvalidInput.at("/als", "needs at least 1 factor, 1 iteration and a regularization above 0")
    n_items = data.n_items
    rows = data.preferences.take(known(data.preferences.items, n_items))
    if not rows.positive.any():
        return AlsModel.from_factors(np.zeros((n_items, config.factors), np.float32), config.regularization, config)
    users, index = np.unique(rows.users, return_inverse=True)
    matrix = replace(rows, users=index.astype(np.int32)).to_csr(len(users), n_items)
    regularization = config.effective(len(rows))
    # Its threads work on whole users; BLAS threads beneath them only fight over the cores.
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=regularization,
            iterations=config.iterations,
            alpha=1.0,
            num_threads=data.threads,
            random_state=config.seed,
        )
        model.fit(matrix, show_progress=False)
    factors = np.asarray(model.item_factors, np.float32)
    touched = np.bincount(rows.items, minlength=n_items) > 0
    # A factor this short carries rounding alone; zero makes folding in say so.
    alive = touched & (np.linalg.norm(factors, axis=1) > SHORTEST)
    users_factors = np.asarray(model.user_factors, np.float32)
    return AlsModel.from_factors(
        np.where(alive[:, None], factors, np.float32(0)), regularization, config, users_factors
    )

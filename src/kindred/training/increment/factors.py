"""Item factors solved anew against users' vectors folded in from their present history."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.models.als import AlsModel, gram_of
from kindred.models.preference import Preferences

SHORTEST = 1e-5


class Factors(NamedTuple):
    """Factors (m, d) of some items, and what sums over all items and all users with them, (d, d)."""

    rows: Floats
    gram: Floats
    user_gram: Floats


def solve_items(model: AlsModel, now: Preferences, before: Preferences, items: Ordinals, active: Ordinals) -> Factors:
    """Solve the ridge system of each of `items (m,)` (Hu, Koren, Volinsky 2008, equation 5), one half step of ALS.

    `now`: everybody's preferences; `before`: those of the users `active` as they were without what is new, so that the
    users' Gram matrix follows them. An item nobody likes any more becomes zero.
    """
    concerned = now.take(np.isin(now.items, items))
    users = np.union1d(concerned.users, active)
    vectors = fold_users(model, now, users)
    old = fold_users(model, before, active)
    moved = vectors[np.searchsorted(users, active)]
    user_gram = model.user_gram + gram_of(moved) - gram_of(old)
    exchanged = model.exchanged(vectors, user_gram)
    rows = np.zeros((len(items), model.factors), np.float32)
    order = np.argsort(concerned.items, kind="stable")
    ends = np.searchsorted(concerned.items[order], items, side="right")
    starts = np.searchsorted(concerned.items[order], items, side="left")
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        mine = concerned.take(order[start:end])
        place = np.searchsorted(users, mine.users).astype(np.int32)
        rows[row] = exchanged.fold_in(place, mine.confidence, mine.positive).vector
    rows[np.linalg.norm(rows, axis=1) <= SHORTEST] = 0
    stood = items < model.n_items
    gram = model.gram + gram_of(rows) - gram_of(model.item_factors[items[stood]])
    return Factors(rows, gram, user_gram)


def fold_users(model: AlsModel, rows: Preferences, users: NDArray[np.integer]) -> Floats:
    """Return the vectors (u, d) of `users (u,)`, ascending, from their rows; zeros where there is nothing to solve."""
    found = np.zeros((len(users), model.factors), np.float32)
    starts = np.searchsorted(rows.users, users, side="left")
    ends = np.searchsorted(rows.users, users, side="right")
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        mine = slice(start, end)
        found[row] = model.fold_in(rows.items[mine], rows.confidence[mine], rows.positive[mine]).vector
    return found

"""A cap per group of rows, as the stages that choose one row after another keep it."""

import numpy as np

from kindred.core.candidates import Mask, Ordinals
from kindred.core.query import Query


class Capped:
    """Rows still to be chosen, each once, a group at most `cap` times while a row of another group is left.

    A cap shares out a slate, it forbids nothing: when only full groups are left, they fill it rather than leave it
    short.
    """

    def __init__(self, groups: Ordinals, cap: int) -> None:
        """Start with every row; `groups (n,)` with -1 for a row that belongs to none."""
        self._groups = groups
        self._cap = cap
        self._counts: dict[int, int] = {}
        self._left = np.ones(len(groups), np.bool_)
        self._open = self._left.copy()

    def choices(self) -> Mask:
        """Return which rows may be chosen next (n,), all false when none is left."""
        return self._open if self._open.any() else self._left

    def take(self, row: int) -> None:
        """Choose a row."""
        self._left[row] = self._open[row] = False
        group = int(self._groups[row])
        if group >= 0:
            self._counts[group] = self._counts.get(group, 0) + 1
            if self._counts[group] == self._cap:
                self._open &= self._groups != group


def category_cap(query: Query) -> int:
    """Return how often a primary category may stand in the slate; a request for a category is not capped."""
    if query.filters.categories or query.params.category_cap >= 1:
        return query.count
    return max(1, int(query.params.category_cap * query.count + 1e-9))

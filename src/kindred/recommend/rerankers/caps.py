"""A cap per group of rows, as the stages that choose one row after another keep it."""

from kindred.core.query import Query


class Capped:
    """How many rows of each group were chosen; a group is full at `cap`, rows of group -1 belong to none.

    A cap shares out a slate, it forbids nothing: when only full groups are left, they fill it rather than leave it
    short.
    """

    def __init__(self, cap: int) -> None:
        """Start with nothing chosen."""
        self._cap = cap
        self._counts: dict[int, int] = {}

    def full(self, group: int) -> bool:
        """Say whether a group has had its share."""
        return group >= 0 and self._counts.get(group, 0) >= self._cap

    def take(self, group: int) -> bool:
        """Count a chosen row and say whether that filled its group."""
        if group < 0:
            return False
        self._counts[group] = self._counts.get(group, 0) + 1
        return self._counts[group] == self._cap


def category_cap(query: Query) -> int:
    """Return how often a primary category may stand in the slate; a request for a category is not capped."""
    if query.filters.categories or query.params.category_cap >= 1:
        return query.count
    return max(1, int(query.params.category_cap * query.count + 1e-9))

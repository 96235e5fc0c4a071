"""EASE: a linear model of each item from the others, solved in closed form and kept as its largest weights."""

from dataclasses import dataclass

from kindred.core.config import Config, Count, MoreThanZero
from kindred.models.operator import Operator, OperatorMeta
from kindred.models.search import Range, Space, Whole


class EaseConfig(Config, frozen=True, kw_only=True):
    """How weights are solved.

    `regularization`: λ on every weight's square; more trusts items with few users less. `neighbours`: weights kept of
    each item. `min_users`: items with fewer users are left out. `max_user_items`: the latest items of a user that
    count. `dense_items`: up to so many items all weights are solved at once, in `8 * n²` bytes; with more, each item is
    solved from `local_items` of its nearest alone. `local_items`: how many those are.
    """

    regularization: MoreThanZero = 500.0
    neighbours: Count = 200
    min_users: Count = 2
    max_user_items: Count = 500
    dense_items: Count = 10_000
    local_items: Count = 100


SEARCH: Space = {"regularization": Range(10.0, 5_000.0, log=True), "neighbours": Whole(50, 500, log=True)}
"""What tuning chooses from."""


@dataclass(frozen=True, slots=True)
class EaseModel(Operator[EaseConfig]):
    """How much each item of a history speaks for others; weights are positive, those that are left out too small."""

    meta = OperatorMeta[EaseConfig]
    file = "ease"

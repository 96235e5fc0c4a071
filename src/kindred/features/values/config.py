"""What the values of features are computed with."""

from kindred.core.config import Amount, Config, MoreThanZero
from kindred.features.groups import FoldConfig


class ValueConfig(Config, frozen=True, kw_only=True):
    """Numbers that formulas use.

    `fold`: what counts as a view, a click and so on. `weights`: by event type, how much a row says of taste, others
    nothing. `disliked`: ratings up to here say nothing good. `taste_days`, `engagement_days`: half-lives. `favourites`:
    categories that are named. `new_days`: up to this age an item is new.
    """

    fold: FoldConfig = FoldConfig()
    weights: tuple[tuple[str, Amount], ...] = (
        ("purchase", 5.0),
        ("rating", 4.0),
        ("like", 3.0),
        ("click", 2.0),
        ("view", 1.0),
    )
    disliked: Amount = 2.5
    taste_days: MoreThanZero = 30.0
    engagement_days: MoreThanZero = 7.0
    favourites: int = 5
    new_days: MoreThanZero = 30.0


DEFAULT = ValueConfig()

"""Graph filter: items that stand near one another in the graph of users and items, kept as a bounded list of each."""

from dataclasses import dataclass

from kindred.core.config import Config, Count, CountOrZero, Share
from kindred.models.operator import Operator, OperatorMeta
from kindred.models.search import Range, Space, Whole


class GraphConfig(Config, frozen=True, kw_only=True):
    """How the graph is weighted and filtered.

    `frequencies`: how many of the smoothest signals on the graph are lifted, in `4 * n_items` bytes each; 0 keeps the
    plain two steps from item to user to item. `lift`: share of the strongest signal that the lifted ones pass at least;
    more trusts the taste of whole groups over single coincidences. `user_power`: a user of n items counts `n^-power` in
    each step, so that long histories say less. `history_power`: a history item that n users liked counts
    `n^-(1/2 + power)`. `target_power`: an item that n users liked scores `n^(power - 1/2)`; more recommends more of the
    popular. `own_items`: an item speaks for itself too, so that what was only looked at comes back where seen items are
    not left out. `neighbours`: kept of each item. `max_user_items`: the latest items of a user that count. `seed`: of
    the search for the signals.
    """

    frequencies: CountOrZero = 512
    lift: Share = 0.45
    user_power: Share = 0.4
    history_power: Share = 0.2
    target_power: Share = 0.3
    own_items: bool = False
    neighbours: Count = 200
    max_user_items: Count = 500
    seed: CountOrZero = 42


SEARCH: Space = {
    "frequencies": Whole(32, 1_024, log=True),
    "lift": Range(0.0, 1.0),
    "user_power": Range(0.0, 1.0),
    "history_power": Range(0.0, 0.5),
    "target_power": Range(0.0, 0.6),
}
"""What tuning chooses from."""


@dataclass(frozen=True, slots=True)
class GraphModel(Operator[GraphConfig]):
    """How much each item of a history speaks for those near it in the graph; weights are positive."""

    meta = OperatorMeta[GraphConfig]
    file = "graph"

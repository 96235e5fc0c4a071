"""Settings of the request path."""

from kindred.core.config import Config


class RecommendConfig(Config, frozen=True, kw_only=True):
    """How slates are made, unless the placement or the request says otherwise.

    `candidates`: kept after the sources are merged. `ranked`: kept after the coarse scorer. `source_depth`: proposed
    by each source. `anchors`: latest history items that item-to-item and content start from. `recency`: factor on an
    anchor's weight per place back in the history, 1 = none. `diversity`: 0 orders by score alone, 1 by difference
    alone. `category_cap`: largest share of a slate for one primary category, 1 = none. `exploration`: expected share
    of slots drawn from new items. `new_item_days`: how long an item counts as new. `new_item_interactions`: from so
    many users on it no longer does. `cold_user`: below so many interactions the strategy is `cold_start_user`.
    `cold_item`: below so many users an item is cold. `evidence`: the k of n / (n + k), which moves weights smoothly.
    `content_floor`: cosine below which content does not propose. `seed`: fixes every draw, none = a new one per
    request. `trace_share`: share of requests whose full trace is kept. `served_log`: whether what was served goes to
    the log.
    """

    candidates: int = 1000
    ranked: int = 300
    source_depth: int = 150
    anchors: int = 300
    recency: float = 0.995
    diversity: float = 0.05
    category_cap: float = 0.6
    exploration: float = 0.3
    new_item_days: float = 30.0
    new_item_interactions: int = 10
    cold_user: int = 5
    cold_item: int = 10
    evidence: float = 2.0
    content_floor: float = 0.1
    seed: int | None = None
    trace_share: float = 0.01
    served_log: bool = True


class PlacementConfig(Config, frozen=True, kw_only=True):
    """A named surface: what it changes of `recommend`; what is left out stays as it is there.

    `count`: items when the request does not say. `diversity`, `category_cap`, `exploration`, `candidates`, `ranked`: as
    in `recommend`. `disabled`: names of stages that do not run here. `weights`: by family (collaborative, content,
    popularity, demographic), instead of the learned and cold-start ones.
    """

    count: int = 20
    diversity: float | None = None
    category_cap: float | None = None
    exploration: float | None = None
    candidates: int | None = None
    ranked: int | None = None
    disabled: tuple[str, ...] = ()
    weights: dict[str, float] = {}

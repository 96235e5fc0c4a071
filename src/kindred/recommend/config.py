"""Settings of the request path."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from kindred.core.config import Amount, Config, Count, CountOrZero, MoreThanZero, Share, unknown_key
from kindred.core.errors import ConfigError
from kindred.core.rules import MOST_RULES, Rule
from kindred.models.blend import WEIGHTABLE
from kindred.models.retrieval import RETRIEVERS

STAGES = (
    "user_state",
    "rule_items",
    *RETRIEVERS,
    "content",
    "on_screen",
    "trending",
    "popular",
    "country",
    "segment",
    "new",
    "season",
    "promoted",
    "catalogue",
    "available",
    "region",
    "category",
    "tags",
    "min_rating",
    "where",
    "seen",
    "hidden",
    "excluded",
    "shown",
    "model_scores",
    "features",
    "blend",
    "ranker",
    "timeliness",
    "boosts",
    "rules",
    "pools",
    "retired",
    "diversity",
    "exploration",
    "reasons",
    "text",
    "text_content",
    "relevance",
    "passed_over",
    "search_reasons",
    "replay_log",
    "served_log",
    "exposure_spread",
)
"""Every stage that a funnel may have, in order; of the retrieval models a bundle has those it was trained with."""
ESSENTIAL = (
    "user_state",
    "available",
    "region",
    "where",
    "hidden",
    "shown",
    "model_scores",
    "blend",
    "relevance",
    "passed_over",
)
"""Stages without which an answer would be wrong rather than different: no placement may switch them off."""


Reranking: TypeAlias = Literal["mmr", "dpp"]
Spacing: TypeAlias = Annotated[int, Meta(ge=0, le=100)]


class RecommendConfig(Config, frozen=True, kw_only=True):
    """How slates are made, unless the placement or the request says otherwise.

    `candidates`: kept after the sources are merged. `ranked`: kept after the coarse scorer. `source_depth`: proposed by
    each source. `anchors`: latest history items that item-to-item and content start from. `recency`: factor on an
    anchor's weight per place back in the history, 1 = none. `diversity`: 0 orders by score alone, 1 by difference
    alone. `reranker`: how difference is weighed: mmr by the nearest item already chosen, dpp by all of them together.
    `category_cap`: largest share of a slate for one primary category, 1 = none. `min_entropy`: where what a user was
    shown in the last day is spread less evenly over categories than this (0 to 1), `diversity` is raised, to 1 for a
    single category. `creator_spacing`: slots that stand between two items of one creator, while another item is left.
    `freshness`: how much more an item of today counts than an old one, 1 = twice as much, e times less every 30 days.
    `season`: power of how much more than usual happened to an item in this month of earlier years, by which its score
    is multiplied; above 0, items whose past years peaked in the weeks to come are proposed too. 0 = neither.
    `exploration`: expected share of slots that are drawn. `serendipity`: the part of that for relevant items unlike the
    history; the rest is for new and uncertain ones. `exploration_policy`: epsilon draws all of these alike, thompson by
    how probable it is that they are the best. `exploration_exposures`: after so many an item has had its chance and is
    judged by what came of them. `new_item_days`: how long an item counts as new. `new_item_interactions`: from so many
    users on it no longer does. `cold_user`: below so many interactions the strategy is `cold_start_user`. `cold_item`:
    below so many users an item is cold. `evidence`: the k of n / (n + k), by which weights move smoothly with the users
    of an item, and a search with the user's history. `user_evidence`: the same k for the interactions of a user.
    `content_floor`: cosine below which content does not propose. `seed`: fixes every draw, none = a new one per
    request. `trace_share`: share of requests whose full trace is kept. `served_log`: whether what was served goes to
    the log. `session_gap`: seconds of silence that end a session. `session_weight`: part of the score that goes by the
    latest session. `session_categories`: part of that which goes by the session's categories, the rest by similarity to
    its items. `session_memory`: seconds until a session that ended says half, 0 = it says nothing any more.
    `session_boost`: how much more than older items those of the open session count when a user's vector is folded in.
    `fold_half_life`: seconds until an item of the history counts half in that vector, none = never. `ranker`: whether
    the ranker orders the candidates where the bundle holds one. `fatigue`: part that a score loses each time that the
    item was lately shown and nothing came of it.
    """

    candidates: Count = 1000
    ranked: Count = 300
    source_depth: Count = 150
    anchors: Count = 300
    recency: Share = 0.995
    diversity: Share = 0.05
    reranker: Reranking = "mmr"
    category_cap: Share = 0.6
    min_entropy: Share = 0.0
    creator_spacing: Spacing = 0
    freshness: Annotated[float, Meta(ge=0, le=10)] = 0.0
    season: Share = 0.0
    exploration: Share = 0.3
    serendipity: Share = 1 / 3
    exploration_policy: Literal["epsilon", "thompson"] = "epsilon"
    exploration_exposures: Count = 200
    new_item_days: Annotated[float, Meta(ge=0, le=36_500)] = 30.0
    new_item_interactions: CountOrZero = 10
    cold_user: CountOrZero = 5
    cold_item: CountOrZero = 10
    evidence: Amount = 2.0
    user_evidence: Amount = 2.0
    content_floor: Annotated[float, Meta(ge=-1, le=1)] = 0.1
    seed: int | None = None
    trace_share: Share = 0.01
    served_log: bool = True
    session_gap: MoreThanZero = 1_800.0
    session_weight: Share = 0.0
    session_categories: Share = 0.3
    session_memory: Amount = 0.0
    session_boost: Amount = 0.0
    fold_half_life: MoreThanZero | None = None
    ranker: bool = True
    fatigue: Share = 0.0


class PlacementConfig(Config, frozen=True, kw_only=True):
    """A named surface: what it changes of `recommend`; what is left out stays as it is there.

    `count`: items when the request does not say. `diversity`, `reranker`, `category_cap`: as in `recommend`.
    `creator_spacing`, `exploration`, `candidates`, `ranked`: as there. `disabled`: stages that do not run here.
    `weights`: by family (collaborative, content, popularity, demographic) or by model (als, item_item, …), instead of
    the learned and cold-start ones. `rules`: what is pinned, boosted, buried or promoted here. An unknown or essential
    stage, an unknown name and a negative weight raise ConfigError.
    """

    count: Annotated[int, Meta(ge=1, le=100)] = 20
    diversity: Share | None = None
    reranker: Reranking | None = None
    category_cap: Share | None = None
    creator_spacing: Spacing | None = None
    exploration: Share | None = None
    candidates: Count | None = None
    ranked: Count | None = None
    disabled: tuple[str, ...] = ()
    weights: dict[str, float] = {}
    rules: Annotated[tuple[Rule, ...], Meta(max_length=MOST_RULES)] = ()

    def __post_init__(self) -> None:
        """Check the names and the weights."""
        for name in self.disabled:
            if name not in STAGES:
                raise ConfigError(f"disabled: {name!r}: {unknown_key(name, STAGES)}")
            if name in ESSENTIAL:
                raise ConfigError(f"disabled: {name!r} cannot be switched off: answers would be wrong without it")
        for name, weight in self.weights.items():
            if name not in WEIGHTABLE:
                raise ConfigError(f"weights: {name!r}: {unknown_key(name, WEIGHTABLE)}")
            if not weight >= 0:
                raise ConfigError(f"weights: {name!r} must be at least 0, is {weight:g}")
        if self.weights and not any(self.weights.values()):
            raise ConfigError("weights: at least one must be above 0")
        Rule.check_all(self.rules)

"""What the ranker looks at: one row of numbers per candidate, made by the same code for training and for serving."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query
from kindred.features.values.slate import FeatureValues
from kindred.models.ranker import RankerSchema
from kindred.recommend.model_set import RANKER
from kindred.recommend.world import World

DEVICE = "context.device"
CATEGORIES = (DEVICE, "context.placement", "context.country", "user.gender", "user.age_bucket")
"""Values of a request that are names; a ranker's schema numbers those that it learned from."""

FEATURES = "features"
"""Under this name a query's scratch holds the features of its candidates: `(items, columns by name)`."""

# What knows exposures is left out: training reads none, so `ctr_*`, `trending_score` and `times_shown_without_click`
# would be constants where trees are grown, and anything where they serve.
_ITEM = (
    "days_since_created",
    "recency_score",
    "quality_score",
    "avg_rating",
    "rating_count",
    "views_1h",
    "views_24h",
    "views_7d",
    "views_30d",
    "clicks_24h",
    "conversions_24h",
    "view_velocity_ratio",
    "popularity_score",
    "seasonal_score",
)
PAIR = (
    "category_match",
    "category_affinity",
    "has_viewed",
    "has_clicked",
    "hours_since_category",
    "timing_match",
    "recency_match",
)
"""Features of user and item that a ranker may look at."""
_USER = (
    "views_90d",
    "clicks_90d",
    "ratings_90d",
    "sessions_24h",
    "items_viewed_session",
    "current_session_duration",
    "avg_rating",
    "active_days",
    "avg_session_duration",
    "engagement_score",
    "diversity_score",
    "prefers_new_content",
    "price_affinity",
)
_DAY_HOURS = 24


def wants_ranker(world: World, query: Query) -> bool:
    """Say whether the ranker orders this request.

    It does not where weights are given outright, beside an item on screen, nor for users without an interaction: it
    learned to tell items apart by a history, and popularity orders them better where there is none.
    """
    return (
        world.models.ranker is not None
        and world.config.ranker
        and RANKER not in query.params.disabled
        and not query.params.weights
        and query.context.item is None
        and query.facts.interactions > 0
    )


def candidate_columns(world: World, query: Query, items: Ordinals, values: FeatureValues) -> dict[str, Floats]:
    """Return what the items' records, the catalogue and the user's record say of each candidate, (n,) each."""
    users = np.log1p(world.evidence(items)).astype(np.float32)
    known = query.facts.history[query.facts.positive]
    usual = np.float32(np.log1p(world.evidence(known)).mean()) if len(known) else np.float32(np.nan)
    prices = np.maximum(world.table.price[items], 0)
    paid = values.user["price_affinity"]
    return {
        **{f"item.{name}": values.item[name] for name in _ITEM},
        **{f"pair.{name}": values.pair[name] for name in PAIR},
        "item.users": users,
        "item.price": prices,
        "pair.popularity_gap": users - usual,
        "pair.price_gap": np.log((prices + 1) / (paid + 1)) if paid > 0 else np.full(len(items), np.nan, np.float32),
    }


def request_values(values: FeatureValues, query: Query) -> dict[str, float | str]:
    """Return what is the same for all candidates of a request: numbers, and names under `CATEGORIES`."""
    context, turn = values.context, 2 * math.pi * values.context["hour"] / _DAY_HOURS
    return {
        **{f"user.{name}": float(values.user[name]) for name in _USER},
        "user.interactions": math.log1p(query.facts.interactions),
        "user.items": math.log1p(len(query.facts.history)),
        "context.hour_sin": math.sin(turn),
        "context.hour_cos": math.cos(turn),
        "context.weekday": float(context["weekday"]),
        "context.session_depth": float(context["session_depth"]),
        DEVICE: str(context["device"]),
        "context.placement": query.placement,
        "context.country": str(context["location"]).split("-")[0].upper(),
        "user.gender": str(values.user["gender"]),
        "user.age_bucket": str(values.user["age_bucket"]),
    }


def funnel_columns(candidates: Candidates) -> dict[str, Floats]:
    """Return what the stages before say: each model's score and place, the blend's, and how many sources proposed."""
    scores = {name: column for name, column in candidates.columns.items() if name.startswith("model.")}
    scores["blend"] = candidates.column("score", 0.0)
    found = dict(scores)
    for name, column in scores.items():
        found[f"place.{name.removeprefix('model.')}"] = places(column)
    bits = np.zeros(len(candidates), np.uint32) if candidates.provenance is None else candidates.provenance
    found["sources"] = np.bitwise_count(bits).astype(np.float32)
    return found


def places(column: Floats) -> Floats:
    """Return ln(1 + place) of each value (n,) among them, the highest at place 0; NaN for what has no opinion.

    Equal values share the first of their places, so that the order in which candidates stand says nothing.
    """
    ordered = np.sort(-column)
    found = np.log1p(np.searchsorted(ordered, -column)).astype(np.float32)
    found[~(np.abs(column) > 0)] = np.nan
    return found


def matrix(
    schema: RankerSchema, candidates: Candidates, funnel: Mapping[str, Floats], request: Mapping[str, float | str]
) -> Floats:
    """Return the schema's columns (n, f) float32 in its order; NaN for what nobody said."""
    rows = np.full((len(schema.columns), len(candidates)), np.nan, np.float32)
    for row, name in zip(rows, schema.columns, strict=True):
        value: Any = funnel.get(name)
        if value is None:
            value = candidates.columns.get(name)
        if value is None:
            value = numbered(schema.categories.get(name), request.get(name, np.nan))
        row[:] = value
    # Trees refuse what is infinite.
    rows[np.isinf(rows)] = np.nan
    return np.ascontiguousarray(rows.T)


def numbered(known: Sequence[str] | None, value: float | str) -> float:
    """Return a number as it is, and a name as its number among the known ones, NaN for any other."""
    if not isinstance(value, str):
        return value
    return float(known.index(value)) if known is not None and value in known else math.nan

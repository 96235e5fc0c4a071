"""Taste: what is worked out about a user once per request and read by several stages."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.query import Query
from kindred.features.history import HistoryRows
from kindred.models.als import UserSolve
from kindred.models.protocol import UserHistory
from kindred.recommend.session import fold_weights
from kindred.recommend.world import Trend, World

COLD_USER = "cold_start_user"
COLD_ITEM = "cold_start_item"
STANDARD = "standard"
WINDOWS = ("24h", "7d", "1h")


def whole_history(world: World, query: Query) -> UserHistory:
    """Return what a model that represents the user reads: the whole history, confidence moved by age and session."""
    found: UserHistory | None = query.scratch.get("whole_history")
    if found is None:
        facts, one = query.facts, np.float32(1)
        confidence = one + (facts.confidence - one) * fold_weights(world, query)
        found = query.scratch["whole_history"] = _history(query, len(facts.history), confidence)
    return found


def latest_history(world: World, query: Query) -> UserHistory:
    """Return what a model that spreads a history reads: its latest items, confidence less by place in the history."""
    found: UserHistory | None = query.scratch.get("latest_history")
    if found is None:
        count = min(len(query.facts.history), world.config.anchors)
        recency = np.float32(world.config.recency) ** np.arange(count, dtype=np.float32)
        found = _history(query, count, query.facts.confidence[:count] * recency)
        query.scratch["latest_history"] = found
    return found


def _history(query: Query, count: int, confidence: Floats) -> UserHistory:
    """Return the newest `count` items of the history with other confidences (count,)."""
    facts = query.facts
    rows: HistoryRows = query.scratch.get("rows") or HistoryRows.empty()
    # Rows stand newest first, so the first row of an item is its latest event.
    items, first = np.unique(rows.items, return_index=True)
    latest = first[np.searchsorted(items, facts.history[:count])] if len(rows) else np.empty(0, np.intp)
    return UserHistory(
        items=facts.history[:count],
        confidence=confidence,
        positive=facts.positive[:count],
        timestamps=facts.last[:count],
        event_types=rows.codes[latest].astype(np.int16),
        names=rows.names,
        as_of=query.context.time,
    )


def user_solve(world: World, query: Query) -> UserSolve:
    """Return the user's folded-in ALS vector, solved once per request from the whole history."""
    found: UserSolve | None = query.scratch.get("als")
    if found is None:
        history = whole_history(world, query)
        found = world.models.als.fold_in(history.items, history.confidence, history.positive)
        query.scratch["als"] = found
    return found


def anchors(world: World, query: Query) -> tuple[Ordinals, Floats]:
    """Return the latest history items (a,) and their signed weights (a,): confidence, less by place in the history."""
    history = latest_history(world, query)
    return history.items, history.signed


def resembling(world: World, query: Query) -> tuple[Ordinals, Floats]:
    """Return the item-to-item neighbours of the history, ascending, and their scores, both (n,)."""
    found: tuple[Ordinals, Floats] | None = query.scratch.get("resembling")
    if found is None:
        found = query.scratch["resembling"] = world.models.item_item.score_history(*anchors(world, query))
    return found


def trend(world: World, query: Query) -> Trend:
    """Return the list of the first window, of a day, a week, an hour, in which anything trends.

    A request keeps what it found, so that sources, scores and reasons speak of one list.
    """
    found: Trend | None = query.scratch.get("trend")
    if found is None:
        lists = [world.trends.of(window) for window in WINDOWS]
        found = query.scratch["trend"] = next((one for one in lists if len(one.items)), lists[0])
    return found


def content_profile(world: World, query: Query) -> Floats:
    """Return the user's content vector (d,) float32: the weighted mean of what they liked, of length 1, or zeros."""
    found: Floats | None = query.scratch.get("content")
    if found is None:
        items, weights = anchors(world, query)
        total = weights @ world.content_vectors(items)
        norm = float(np.linalg.norm(total))
        found = (total / norm if norm > 1e-9 else np.zeros_like(total)).astype(np.float32)
        query.scratch["content"] = found
    return found


def weightiest_event(world: World, query: Query, item: int) -> str:
    """Return the weightiest type of event among what the user did to an item, ties to the latest; empty for none."""
    rows: HistoryRows | None = query.scratch.get("rows")
    if rows is None:
        return ""
    names = [rows.names[code] for code in rows.codes[rows.items == item].tolist()]
    weights, other = world.preference.event_weights, world.preference.default_weight
    return max(names, key=lambda name: weights.get(name, other), default="")


def strategy(world: World, query: Query) -> str:
    """Return the user's strategy: `cold_start_user` below the configured number of interactions, else `standard`."""
    return COLD_USER if query.facts.interactions < world.config.cold_user else STANDARD

"""Taste: what is worked out about a user once per request and read by several stages."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.query import Query
from kindred.features.history import HistoryRows
from kindred.models.arrays import rows_at
from kindred.models.protocol import Anchoring, UserHistory
from kindred.models.text import ItemText
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


def represented(world: World, query: Query, name: str) -> Floats | None:
    """Return the user's vector (d,) by a retrieval model, made once per request; None from a model without vectors."""
    if name not in world.models.indexes:
        return None
    vectors: dict[str, Floats | None] = query.scratch.setdefault("represented", {})
    if name not in vectors:
        vectors[name] = world.models.retrievers[name].represent(whole_history(world, query))
    return vectors[name]


def spread(world: World, query: Query, name: str) -> tuple[Ordinals, Floats]:
    """Return what a retrieval model without vectors makes of the history, once per request: items, scores, both (n,).

    Items ascend.
    """
    found: dict[str, tuple[Ordinals, Floats]] = query.scratch.setdefault("spread", {})
    if name not in found:
        found[name] = world.models.retrievers[name].spread(latest_history(world, query))
    return found[name]


def retriever_anchors(world: World, query: Query, name: str, items: Ordinals) -> Ordinals:
    """Return the history item (n,) int32 that brought each item by a retrieval model, -1 where it cannot say.

    A model of vectors that does not know itself is asked for the liked item of the history that is nearest.
    """
    model = world.models.retrievers[name]
    vectors = model.item_vectors
    if isinstance(model, Anchoring):
        history = latest_history(world, query) if vectors is None else whole_history(world, query)
        return model.anchors(history, items)[0]
    if vectors is None:
        return np.full(len(items), -1, np.int32)
    history = latest_history(world, query)
    return nearest_liked(rows_at(vectors, items), rows_at(vectors, history.items), history)


def nearest_liked(candidates: Floats, anchors: Floats, history: UserHistory) -> Ordinals:
    """Return for each candidate's vector (n, d) the liked item of a history whose vector (h, d), weighted, is nearest.

    -1 where none is on its side.
    """
    liked = np.flatnonzero(history.positive)
    if not len(liked):
        return np.full(len(candidates), -1, np.int32)
    near = candidates @ anchors[liked].T * history.confidence[liked]
    best = near.argmax(axis=1)
    return np.where(near[np.arange(len(near)), best] > 0, history.items[liked[best]], -1).astype(np.int32)


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
    """Return the user's content vector (d,) float32, of length 1, or zeros.

    It is the weighted mean of what they liked and, in the part for which there is no evidence, what they chose in their
    profile.
    """
    found: Floats | None = query.scratch.get("content")
    if found is None:
        history = latest_history(world, query)
        liked = _unit(history.signed @ world.content_vectors(history.items))
        evidence = user_evidence(world, query)
        found = _unit(evidence * liked + (1 - evidence) * chosen_vector(world, query))
        query.scratch["content"] = found
    return found


def chosen_vector(world: World, query: Query) -> Floats:
    """Return the content vector (d,) float32 of the categories and tags in the profile, or zeros for none known."""
    found: Floats | None = query.scratch.get("chosen")
    if found is None:
        profile = query.facts.profile
        categories, tags = (profile.preferred_categories, profile.preferred_tags) if profile else ((), ())
        found = world.models.content.encode(ItemText(categories=categories, tags=tags))
        query.scratch["chosen"] = found
    return found


def segments_of(world: World, query: Query) -> tuple[str, ...]:
    """Return the user's segments of which the bundle knows something, once per request."""
    found: tuple[str, ...] | None = query.scratch.get("segments")
    if found is None:
        context = query.context
        found = world.models.segments.of(query.facts.profile, context.device, context.time)
        query.scratch["segments"] = found
    return found


def user_evidence(world: World, query: Query) -> np.float32:
    """Return how much is known of what the user does, n / (n + k) of their n interactions."""
    n, k = np.float32(query.facts.interactions), np.float32(max(world.config.user_evidence, 1e-6))
    return n / (n + k)


def _unit(vector: Floats) -> Floats:
    norm = float(np.linalg.norm(vector))
    return (vector / norm if norm > 1e-9 else np.zeros_like(vector)).astype(np.float32)


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

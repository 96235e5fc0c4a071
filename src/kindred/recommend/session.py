"""What the user's present session says, and what having been shown in vain costs."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.query import Query, UserFacts
from kindred.models.arrays import rows_at, values_at
from kindred.recommend.world import World

_SECOND = 1_000


def session_size(facts: UserFacts, now: int, gap: float) -> int:
    """Return how many items, the newest of the history, belong to the latest session as of `now` (ms).

    A session goes on while there are at most `gap` seconds from one thing to the next.
    """
    times = facts.last[facts.last <= now]
    later = len(facts.last) - len(times)
    if not len(times) or times[0] < 0:
        return 0
    apart = np.flatnonzero(times[:-1] - times[1:] > gap * _SECOND)
    return later + (int(apart[0]) + 1 if len(apart) else len(times))


def session_strength(world: World, query: Query) -> float:
    """Return how much the latest session still says: 1 while it is open, then halved every `session_memory` seconds."""
    facts, config = query.facts, world.config
    if not len(facts.last) or facts.last[0] < 0:
        return 0.0
    silent = max(query.context.time - int(facts.last[0]), 0) / _SECOND
    if silent <= config.session_gap:
        return 1.0
    return float(0.5 ** (silent / config.session_memory)) if config.session_memory > 0 else 0.0


def session_scores(world: World, query: Query, items: Ordinals) -> Floats | None:
    """Return for each item (n,) float32, at most 1, how well it goes with the latest session; None where it is silent.

    Item-to-item similarity to what was liked there, less that to what was disliked, the best item 1; mixed with the
    share of it that is of the item's primary category.
    """
    strength = session_strength(world, query) if world.config.session_weight > 0 else 0.0
    size = session_size(query.facts, query.context.time, world.config.session_gap) if strength > 0 else 0
    if not size:
        return None
    facts = query.facts
    anchors = facts.history[:size]
    signs = np.where(facts.positive[:size], np.float32(1), np.float32(-1))
    near = values_at(*world.models.item_item.score_history(anchors, signs), items)
    near = np.clip(near / max(float(near.max(initial=0.0)), 1e-9), -1, 1).astype(np.float32)
    share = np.float32(world.config.session_categories)
    alike = _category_share(world, items, anchors[facts.positive[:size]])
    scores: Floats = (1 - share) * near + share * alike
    return scores


def session_share(world: World, query: Query) -> np.float32:
    """Return which part of the score the session makes now."""
    return np.float32(world.config.session_weight * session_strength(world, query))


def fold_weights(world: World, query: Query) -> Floats:
    """Return by what the confidence of each history item (h,) is lessened or raised before it is folded in.

    Halved every `fold_half_life` seconds of age, and times 1 + `session_boost` in the session that is open.
    """
    facts, config = query.facts, world.config
    weights = np.ones(len(facts.history), np.float32)
    if config.fold_half_life is not None:
        ages = np.where(facts.last < 0, 0, np.maximum(query.context.time - facts.last, 0)) / _SECOND
        weights = np.exp2(-ages / config.fold_half_life).astype(np.float32)
    if config.session_boost > 0 and session_strength(world, query) == 1.0:
        weights[: session_size(facts, query.context.time, config.session_gap)] *= np.float32(1 + config.session_boost)
    return weights


def fatigue(world: World, query: Query, items: Ordinals) -> Floats | None:
    """Return by what each score (n,) float32 is multiplied for having been shown in vain, None where nothing was."""
    shown: tuple[Ordinals, Ordinals] | None = query.scratch.get("shown")
    if world.config.fatigue <= 0 or shown is None or not len(shown[0]):
        return None
    times = values_at(shown[0], shown[1].astype(np.float32), items)
    lessened: Floats = np.power(np.float32(1 - world.config.fatigue), times)
    return lessened


def _category_share(world: World, items: Ordinals, anchors: Ordinals) -> Floats:
    """Return the share of the anchors (a,) whose primary category is that of each item (n,) float32."""
    mine, theirs = (rows_at(world.table.primary, one) for one in (anchors, items))
    known = mine[mine >= 0]
    if not len(anchors) or not len(known):
        return np.zeros(len(items), np.float32)
    counts = np.bincount(known, minlength=len(world.table.category_names))
    return np.where(theirs >= 0, counts[np.maximum(theirs, 0)] / len(anchors), 0).astype(np.float32)

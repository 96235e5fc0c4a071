"""Taste: what is worked out about a user once per request and read by several stages."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.query import Query
from kindred.models.als import UserSolve
from kindred.recommend.world import World

COLD_USER = "cold_start_user"
COLD_ITEM = "cold_start_item"
STANDARD = "standard"


def user_solve(world: World, query: Query) -> UserSolve:
    """Return the user's folded-in ALS vector, solved once per request from the whole history."""
    found: UserSolve | None = query.scratch.get("als")
    if found is None:
        facts = query.facts
        found = world.models.als.fold_in(facts.history, facts.confidence, facts.positive)
        query.scratch["als"] = found
    return found


def anchors(world: World, query: Query) -> tuple[Ordinals, Floats]:
    """Return the latest history items (a,) and their signed weights (a,): confidence, less by place in the history."""
    facts = query.facts
    count = min(len(facts.history), world.config.anchors)
    recency = np.float32(world.config.recency) ** np.arange(count, dtype=np.float32)
    signed = np.where(facts.positive[:count], facts.confidence[:count], -facts.confidence[:count])
    return facts.history[:count], (signed * recency).astype(np.float32)


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


def strategy(world: World, query: Query) -> str:
    """Return the user's strategy: `cold_start_user` below the configured number of interactions, else `standard`."""
    return COLD_USER if query.facts.interactions < world.config.cold_user else STANDARD

"""The rules: each gives a mask over the catalogue, or None where it does not apply to a request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from kindred.core.candidates import Candidates, Mask
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.world import World

Rule: TypeAlias = Callable[[World, Query], Mask | None]


def available(world: World, query: Query) -> Mask | None:
    """Keep what is listed, inside its dates and in stock."""
    return world.table.available(query.context.time)


def region(world: World, query: Query) -> Mask | None:
    """Keep what may be shown in the asker's country."""
    profile = query.facts.profile
    return world.table.in_region(query.context.country or (profile.country if profile else None))


def category(world: World, query: Query) -> Mask | None:
    """Keep what bears any of the wanted categories."""
    wanted = query.filters.categories
    return world.table.categories.any_of(wanted, world.table.size) if wanted else None


def tags(world: World, query: Query) -> Mask | None:
    """Keep what bears any of the wanted tags."""
    wanted = query.filters.tags
    return world.table.tags.any_of(wanted, world.table.size) if wanted else None


def min_rating(world: World, query: Query) -> Mask | None:
    """Keep what is rated at least so; an item without a rating is not."""
    least = query.filters.min_rating
    return None if least is None else world.ratings() >= least


def seen(world: World, query: Query) -> Mask | None:
    """Leave out what the user has already interacted with."""
    known = query.facts.seen
    return _without(world, known) if query.filters.exclude_seen and len(known) else None


def hidden(world: World, query: Query) -> Mask | None:
    """Leave out what the user rejected, whether or not seen items may come back."""
    rejected = query.facts.hidden
    return _without(world, rejected) if len(rejected) else None


def excluded(world: World, query: Query) -> Mask | None:
    """Leave out what the request names, and the item on screen."""
    named = [*query.filters.exclude_items, *([] if query.context.item is None else [query.context.item])]
    return _without(world, np.array(named, np.int32)) if named else None


def _without(world: World, ordinals: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Mask:
    mask = np.ones(world.table.size, np.bool_)
    mask[ordinals[ordinals < world.table.size]] = False
    return mask


RULES: dict[str, Rule] = {
    "available": available,
    "region": region,
    "category": category,
    "tags": tags,
    "min_rating": min_rating,
    "seen": seen,
    "hidden": hidden,
    "excluded": excluded,
}


def rule_mask(world: World, query: Query, name: str) -> Mask | None:
    """Return a rule's mask over the catalogue, computed once per request."""
    masks: dict[str, Mask | None] = query.scratch.setdefault("rules", {})
    if name not in masks:
        masks[name] = None if name in query.params.disabled else RULES[name](world, query)
    return masks[name]


def allowed(world: World, query: Query) -> Mask:
    """Return what all rules allow together (size,), computed once per request."""
    found: Mask | None = query.scratch.get("allowed")
    if found is None:
        found = np.ones(world.table.size, np.bool_)
        for name in RULES:
            mask = rule_mask(world, query, name)
            if mask is not None:
                found = found & mask
        query.scratch["allowed"] = found
    return found


def emptied_by(world: World, query: Query) -> list[str]:
    """Return the rules without which more items would be allowed, the one that costs most first."""
    everything = allowed(world, query).sum()
    costs = {}
    for name in RULES:
        if rule_mask(world, query, name) is None:
            continue
        others = [m for other in RULES if other != name and (m := rule_mask(world, query, other)) is not None]
        alone = np.logical_and.reduce(others) if others else np.ones(world.table.size, np.bool_)
        costs[name] = int(alone.sum() - everything)
    return sorted((name for name, cost in costs.items() if cost > 0), key=lambda name: (-costs[name], name))


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """A rule as a stage: it fails closed, since nothing that a rule forbids may be shown."""

    world: World
    name: str
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say whether the rule applies."""
        return rule_mask(self.world, query, self.name) is not None

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        """Return which candidates the rule allows (n,)."""
        mask = rule_mask(self.world, query, self.name)
        return np.ones(len(candidates), np.bool_) if mask is None else mask[candidates.items]

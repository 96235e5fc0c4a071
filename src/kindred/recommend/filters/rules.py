"""The rules: what may be shown. Those that many requests share are kept as masks, a user's own name ordinals."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from kindred.core.bits import Bits
from kindred.core.candidates import Candidates, Mask, Ordinals
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.items.masks import KeptMask
from kindred.recommend.where.passing import passing
from kindred.recommend.world import World

Shared: TypeAlias = Callable[[World, Query], KeptMask | None]
Own: TypeAlias = Callable[[World, Query], Ordinals | None]


def available(world: World, query: Query) -> KeptMask:
    """Keep what is listed, inside its dates and in stock."""
    return world.table.available(query.context.time, live=query.context.time == query.received)


def region(world: World, query: Query) -> KeptMask | None:
    """Keep what may be shown in the asker's country."""
    profile = query.facts.profile
    return world.table.in_region(query.context.country or (profile.country if profile else None))


def category(world: World, query: Query) -> KeptMask | None:
    """Keep what bears any of the wanted categories."""
    wanted = query.filters.categories
    return world.table.in_categories(wanted) if wanted else None


def tags(world: World, query: Query) -> KeptMask | None:
    """Keep what bears any of the wanted tags."""
    wanted = query.filters.tags
    return world.table.with_tags(wanted) if wanted else None


def min_rating(world: World, query: Query) -> KeptMask | None:
    """Keep what is rated at least so; an item without a rating is not."""
    least = query.filters.min_rating
    return None if least is None else world.rated(least)


def where(world: World, query: Query) -> KeptMask | None:
    """Keep what the request's expression over attributes lets through."""
    wanted = query.filters.where
    return None if wanted is None else passing(query, wanted)


def seen(world: World, query: Query) -> Ordinals | None:
    """Leave out what the user has already interacted with."""
    known = query.facts.seen
    return known if query.filters.exclude_seen and len(known) else None


def hidden(world: World, query: Query) -> Ordinals | None:
    """Leave out what the user rejected, whether or not seen items may come back."""
    return query.facts.hidden if len(query.facts.hidden) else None


def excluded(world: World, query: Query) -> Ordinals | None:
    """Leave out what the request names, and the item on screen."""
    named = [*query.filters.exclude_items, *([] if query.context.item is None else [query.context.item])]
    return np.array(named, np.int32) if named else None


def shown(world: World, query: Query) -> Ordinals | None:
    """Leave out what stands on the pages before this one, or in the rows above it."""
    return np.array(query.shown, np.int32) if query.shown else None


SHARED: dict[str, Shared] = {
    "available": available,
    "region": region,
    "category": category,
    "tags": tags,
    "min_rating": min_rating,
    "where": where,
}
"""Rules that give the mask of what may be shown, or None where they do not apply to a request."""
OWN: dict[str, Own] = {"seen": seen, "hidden": hidden, "excluded": excluded, "shown": shown}
"""Rules that give the ordinals that may not be shown, or None where they do not apply to a request."""
RULES = (*SHARED, *OWN)


def applies(world: World, query: Query, name: str) -> bool:
    """Say whether a rule applies to a request."""
    return name in (shared_masks(world, query) if name in SHARED else own_ordinals(world, query))


def keeps(world: World, query: Query, name: str, items: Ordinals) -> Mask:
    """Return which of some items (n,) a rule allows, all where it does not apply."""
    # Sources propose what is allowed: then no rule need be asked on its own.
    if not applies(world, query, name) or allowed(world, query).has(items).all():
        return np.ones(len(items), np.bool_)
    if name in SHARED:
        return shared_masks(world, query)[name].bits.has(items)
    return ~np.isin(items, own_ordinals(world, query)[name])


def shared_masks(world: World, query: Query) -> dict[str, KeptMask]:
    """Return the masks of the shared rules that apply, looked up once per request."""
    found: dict[str, KeptMask] | None = query.scratch.get("shared_masks")
    if found is None:
        asked = {name: rule(world, query) for name, rule in SHARED.items() if name not in query.params.disabled}
        found = query.scratch["shared_masks"] = {name: mask for name, mask in asked.items() if mask is not None}
    return found


def own_ordinals(world: World, query: Query) -> dict[str, Ordinals]:
    """Return what each rule of the user's own that applies leaves out, (m,) int32."""
    found: dict[str, Ordinals] | None = query.scratch.get("own_ordinals")
    if found is None:
        asked = {name: rule(world, query) for name, rule in OWN.items() if name not in query.params.disabled}
        found = query.scratch["own_ordinals"] = {name: left for name, left in asked.items() if left is not None}
    return found


def shared(world: World, query: Query) -> KeptMask:
    """Return what all shared rules allow together; it is not for this user alone."""
    masks = list(shared_masks(world, query).values())
    return world.table.masks.together(masks) if masks else world.table.everything()


def allowed(world: World, query: Query) -> Bits:
    """Return what all rules allow together, computed once per request."""
    found: Bits | None = query.scratch.get("allowed")
    if found is None:
        own, found = own_ordinals(world, query), shared(world, query).bits
        if own:
            found = found.without(np.concatenate(list(own.values())))
        query.scratch["allowed"] = found
    return found


def emptied_by(world: World, query: Query) -> list[str]:
    """Return the rules without which more items would be allowed, the one that costs most first."""
    masks, own = shared_masks(world, query), own_ordinals(world, query)
    everything, all_own = allowed(world, query).count, _joined(own.values())
    costs = {}
    for name in masks:
        others = [mask for other, mask in masks.items() if other != name]
        rest = world.table.masks.together(others) if others else world.table.everything()
        costs[name] = rest.bits.count - int(rest.bits.has(all_own).sum()) - everything
    for name in own:
        rest_own = _joined(left for other, left in own.items() if other != name)
        back = np.setdiff1d(all_own, rest_own)
        costs[name] = int(shared(world, query).bits.has(back).sum())
    return sorted((name for name, cost in costs.items() if cost > 0), key=lambda name: (-costs[name], name))


def _joined(parts: Iterable[Ordinals]) -> Ordinals:
    """Return ordinals of several lists (m,), ascending and distinct, none negative."""
    found = np.unique(np.concatenate([np.empty(0, np.int32), *parts]))
    return found[found >= 0]


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """A rule as a stage: it fails closed, since nothing that a rule forbids may be shown."""

    world: World
    name: str
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say whether the rule applies."""
        return applies(self.world, query, self.name)

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        """Return which candidates the rule allows (n,)."""
        return keeps(self.world, query, self.name, candidates.items)

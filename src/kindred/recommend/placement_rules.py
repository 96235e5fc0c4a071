"""A placement's business rules over candidates: which items are meant, what stands where, what counts more or less."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask, Ordinals
from kindred.core.query import Query
from kindred.core.rules import Rule
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.filters.rules import allowed
from kindred.recommend.sources.lists import allowed_rows, ranked
from kindred.recommend.world import World

FACTOR = "rules.factor"


@dataclass(frozen=True, slots=True)
class RuleItems:
    """Looks up the ordinals of the items that rules name; ordinals never change, so each is asked for once."""

    world: World
    name: str = "rule_items"
    policy: FailPolicy = FailPolicy.OPEN
    _known: dict[str, int] = field(default_factory=dict)

    def enabled(self, query: Query) -> bool:
        """Say whether a rule names items."""
        return any(rule.items for rule in query.params.rules)

    async def hydrate(self, query: Query) -> Mapping[str, Any]:
        """Return `rule_items`: the ordinal of each id; those that the catalogue does not know are left out."""
        ids = {name for rule in query.params.rules for name in rule.items}
        missing = [name for name in ids if name not in self._known]
        if missing:
            found = await self.world.catalog.get(missing)
            self._known.update((one.item.item_id, one.ordinal) for one in found if one is not None)
        return {"rule_items": {name: self._known[name] for name in ids if name in self._known}}


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Proposes the items that are pinned, and those that a promotion names, where the request allows them."""

    world: World
    name: str = "promoted"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether a rule asks for items by name."""
        return any(rule.items and rule.kind in ("pin", "promote") for rule in query.params.rules)

    async def propose(self, query: Query) -> Candidates:
        """Return them in the order of the rules."""
        rules = [rule for rule in query.params.rules if rule.kind in ("pin", "promote")]
        items = np.array(list(dict.fromkeys(o for rule in rules for o in _ordinals(query, rule).tolist())), np.int32)
        items = items[allowed_rows(items, allowed(self.world, query))]
        return ranked(self.name, items, np.linspace(1, 0.5, len(items), dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Rules:
    """Multiplies scores by the factors of the placement's rules, those of several rules with one another."""

    world: World
    name: str = "rules"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether a rule has a factor."""
        return any(rule.factor is not None for rule in query.params.rules)

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score`, scaled down where it would be above 1, and `rules.factor`."""
        factor = np.ones(len(candidates), np.float32)
        for rule in query.params.rules:
            if rule.factor is not None:
                factor[meant(self.world, query, rule, candidates.items)] *= np.float32(rule.factor)
        score = candidates.column("score", 0.0) * factor
        return {"score": score / max(float(score.max(initial=0)), 1.0), FACTOR: factor}


def meant(world: World, query: Query, rule: Rule, items: Ordinals) -> Mask:
    """Return which items (n,) a rule means."""
    found: Mask = np.isin(items, _ordinals(query, rule))
    for postings, names in ((world.table.categories, rule.categories), (world.table.tags, rule.tags)):
        for name in names:
            bearers = postings.of(name)
            if len(bearers):
                found |= bearers[np.minimum(np.searchsorted(bearers, items), len(bearers) - 1)] == items
    return found


def pinned_items(query: Query) -> dict[int, int]:
    """Return the ordinal of the item that is pinned to each slot, from 0."""
    known: Mapping[str, int] = query.scratch.get("rule_items", {})
    pins = [rule for rule in query.params.rules if rule.slot is not None]
    return {(pin.slot or 1) - 1: known[pin.items[0]] for pin in pins if pin.items[0] in known}


def promotions(world: World, query: Query, items: Ordinals) -> list[tuple[Mask, int]]:
    """Return for each promotion which items (n,) it means, and how many of them one slate may hold."""
    rules = [rule for rule in query.params.rules if rule.cap is not None]
    return [(meant(world, query, rule, items), rule.cap or 0) for rule in rules]


def _ordinals(query: Query, rule: Rule) -> Ordinals:
    known: Mapping[str, int] = query.scratch.get("rule_items", {})
    return np.array([known[name] for name in rule.items if name in known], np.int32)

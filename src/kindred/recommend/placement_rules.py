"""A placement's business rules over candidates: which items are meant, what stands where, what counts more or less."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import xxhash

from kindred.core.candidates import Candidates, Floats, Mask, Ordinals
from kindred.core.query import Query
from kindred.core.rules import Rule
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.world import World

FACTOR, PROMOTED = "rules.factor", "raw.promoted"
# More than any part of a score: nothing but the pin puts its item there.
_ALL = np.float32(2)
_encode = msgspec.msgpack.Encoder().encode
_MOST_HASHES = 1_000
_hashes: dict[int, tuple[tuple[Rule, ...], int]] = {}


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
class Rules:
    """Multiplies scores by the factors of the placement's rules, those of several rules with one another."""

    world: World
    name: str = "rules"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether there are any."""
        return bool(query.params.rules)

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score`, scaled down where it would be above 1, `rules.factor`, and what pinned items owe to it."""
        factor = np.ones(len(candidates), np.float32)
        for rule in query.params.rules:
            if rule.factor is not None:
                factor[meant(self.world, query, rule, candidates.items)] *= np.float32(rule.factor)
        score = candidates.column("score", 0.0) * factor
        pinned = np.isin(candidates.items, list(pinned_items(query).values()))
        share = np.where(pinned, _ALL, np.float32(0))
        return {"score": score / max(float(score.max(initial=0)), 1.0), FACTOR: factor, "share.promoted": share}


def rules_hash(rules: tuple[Rule, ...]) -> int:
    """Return a hash of a placement's rules, 0 for none; those of each placement are hashed once."""
    if not rules:
        return 0
    # By identity, which the entry itself keeps from being given to others.
    known = _hashes.get(id(rules))
    if known is None:
        if len(_hashes) >= _MOST_HASHES:
            _hashes.clear()
        known = _hashes[id(rules)] = (rules, xxhash.xxh3_64_intdigest(_encode(rules)))
    return known[1]


def meant(world: World, query: Query, rule: Rule, items: Ordinals) -> Mask:
    """Return which items (n,) a rule means."""
    found: Mask = np.isin(items, named_items(query, rule))
    if rule.categories:
        found |= world.table.in_categories(rule.categories).bits.has(items)
    if rule.tags:
        found |= world.table.with_tags(rule.tags).bits.has(items)
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


def named_items(query: Query, rule: Rule) -> Ordinals:
    """Return the ordinals (m,) int32 of the items that a rule names and the catalogue knows."""
    known: Mapping[str, int] = query.scratch.get("rule_items", {})
    return np.array([known[name] for name in rule.items if name in known], np.int32)

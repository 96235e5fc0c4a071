"""What a placement's rules ask for by name."""

from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.filters.rules import allowed
from kindred.recommend.placement_rules import named_items
from kindred.recommend.sources.lists import ranked
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class PromotedSource:
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
        items = np.array(list(dict.fromkeys(o for rule in rules for o in named_items(query, rule).tolist())), np.int32)
        items = items[allowed(self.world, query).has(items)]
        return ranked(self.name, items, np.linspace(1, 0.5, len(items), dtype=np.float32))

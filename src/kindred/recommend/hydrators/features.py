"""Features of candidates: one batched read of the items' records, and the user's record that was read already."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.features.groups import ITEM
from kindred.features.item_blocks import HEAD, read_heads
from kindred.features.values.slate import all_values
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.ranking import candidate_columns, request_values, wants_ranker
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class CandidateFeatures:
    """Reads what the ranker looks at: columns `item.<feature>`, `pair.<feature>`; values of the request in `scratch`.

    `every`: all of them, also where the bundle holds no ranker, for training.
    """

    world: World
    every: bool = False
    name: str = "features"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether anybody will look at them."""
        return self.every or wants_ranker(self.world, query)

    async def columns(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return columns (n,) float32; raise what the state store raises."""
        keys = list(map(str, candidates.items.tolist()))
        heads = read_heads(await self.world.state.heads(ITEM, keys, HEAD.itemsize))
        attributes = self.world.table.attributes()
        values = all_values(query.scratch.get("record"), candidates.items, heads, attributes, query.context)
        query.scratch["request"] = request_values(values, query)
        columns = candidate_columns(self.world, query, candidates.items, values)
        ranker = self.world.models.ranker
        if ranker is not None and not self.every:
            columns = {name: column for name, column in columns.items() if name in ranker.schema.columns}
        return {name: np.asarray(column, np.float32) for name, column in columns.items()}

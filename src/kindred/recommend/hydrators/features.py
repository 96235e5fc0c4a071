"""Features of candidates: one batched read of the items' records, and the user's record that was read already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.features.groups import ITEM
from kindred.features.item_blocks import HEAD, Blocks, read_heads, total
from kindred.features.item_counters import CREDITED_CLICKS, EXPOSURES, month_of
from kindred.features.values.items import month_share
from kindred.features.values.slate import all_values
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.posteriors import CLICKED, EXPOSED
from kindred.recommend.ranking import FEATURES, PAIR, candidate_columns, request_values, wants_ranker
from kindred.recommend.scorers.timeliness import MONTH
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class CandidateFeatures:
    """Reads what the ranker looks at, `item.<feature>`, `pair.<feature>` and values of the request, into `scratch`.

    Of items that exploration may try also how often they were shown and clicked, and how the month suits them.

    `every`: all of them as columns, also where the bundle holds no ranker, for training.
    """

    world: World
    every: bool = False
    name: str = "features"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether anybody will look at them."""
        tried = query.params.exploration > 0 or self.world.config.season > 0
        return self.every or tried or wants_ranker(self.world, query)

    async def columns(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return columns (n,) float32; raise what the state store raises."""
        if not (self.every or wants_ranker(self.world, query)):
            return await self._few(query, candidates)
        keys = list(map(str, candidates.items.tolist()))
        heads = read_heads(await self.world.state.heads(ITEM, keys, HEAD.itemsize))
        attributes = self.world.table.attributes()
        record = query.scratch.get("record")
        values = all_values(record, candidates.items, heads, attributes, query.context, pairs=PAIR)
        query.scratch["request"] = request_values(values, query)
        columns = candidate_columns(self.world, query, candidates.items, values)
        if self.every:
            return as_floats({**columns, **counted(heads, query.context.time)})
        # The ranker alone looks at them: as columns they would be checked and carried along to the end.
        query.scratch[FEATURES] = candidates.items, columns
        return counted(heads, query.context.time)

    async def _few(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return what is looked at without a ranker, read of no more items than exploration and seasons need."""
        tried = ~np.isnan(candidates.column("raw.new"))
        tried |= self.world.evidence(candidates.items) < self.world.config.cold_item
        rows = np.flatnonzero(tried | (self.world.config.season > 0))
        keys = list(map(str, candidates.items[rows].tolist()))
        heads = read_heads(await self.world.state.heads(ITEM, keys, HEAD.itemsize) if keys else b"")
        found = {}
        for name, column in counted(heads, query.context.time).items():
            found[name] = np.full(len(candidates), np.nan, np.float32)
            found[name][rows] = column
        return found


def as_floats(columns: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Return columns as float32."""
    return {name: np.asarray(column, np.float32) for name, column in columns.items()}


def counted(heads: Blocks, now: int) -> dict[str, Floats]:
    """Return of n items how often they were ever shown, and clicked of these times, and how this month suits them."""
    months = heads["months"].astype(np.float64)
    month = months[:, int(month_of(np.array([now]))[0])]
    columns = {
        EXPOSED: total(heads, EXPOSURES),
        CLICKED: total(heads, CREDITED_CLICKS),
        MONTH: month_share(month, months.sum(axis=1)),
    }
    return as_floats(columns)

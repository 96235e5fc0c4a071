"""What was served goes to the log, so that outcomes can be joined to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kindred.core.event import Event, Served
from kindred.core.ids import new_id
from kindred.core.item import CatalogItem
from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.rerankers.exploration import EPSILON, PINNED, POOL_SIZE


@dataclass(frozen=True, slots=True)
class ServedLog:
    """Appends a `served` event under the request's id; a prefetch is marked as no exposure."""

    record: Callable[[Sequence[Event]], Awaitable[object]]
    name: str = "served_log"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def run(self, query: Query, slate: Slate) -> None:
        """Record the slate with positions, sources and how each item was chosen."""
        known: Mapping[int, CatalogItem] = query.scratch.get("items", {})
        items = slate.candidates.items.tolist()
        drawn = bool(slate.candidates.column(EPSILON, 0.0).any())
        event = Served(
            event_id=new_id("srv"),
            timestamp=query.received,
            ingested_at=query.received,
            user_id=query.user_id,
            request_id=query.request_id,
            placement=query.placement,
            bundle=slate.bundle,
            items=[known[item].item.item_id if item in known else f"#{item}" for item in items],
            propensities=[float(p) for p in slate.candidates.column("propensity", 1.0)],
            sources=list(slate.sources),
            policy=query.scratch.get("policy", "greedy"),
            exposure=not query.prefetch,
            epsilons=slate.candidates.column(EPSILON, 0.0).tolist() if drawn else [],
            pools=slate.candidates.column(POOL_SIZE, 0.0).astype(int).tolist() if drawn else [],
            pinned=np.flatnonzero(slate.candidates.column(PINNED, 0.0)).tolist(),
            seed=query.seed if drawn else 0,
            placements_version=query.placements_version,
        )
        await self.record([event])

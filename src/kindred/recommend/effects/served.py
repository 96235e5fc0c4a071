"""What was served goes to the log, so that outcomes can be joined to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from kindred.core.event import Event, Served
from kindred.core.ids import new_id
from kindred.core.item import CatalogItem
from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.pipeline.stages import FailPolicy


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
        """Record the slate with positions, sources and propensities."""
        known: Mapping[int, CatalogItem] = query.scratch.get("items", {})
        items = slate.candidates.items.tolist()
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
            policy="epsilon_new" if query.params.exploration > 0 else "greedy",
            exposure=not query.prefetch,
        )
        await self.record([event])

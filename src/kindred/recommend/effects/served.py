"""What was served goes to the log, so that outcomes can be joined to it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from kindred.core.event import Event, Served
from kindred.core.ids import new_id
from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.ask import ANSWERED
from kindred.recommend.rerankers.exploration import EPSILON, PINNED, POOL_SIZE


@dataclass(frozen=True, slots=True)
class ServedLog:
    """Appends a `served` event under the request's id; a prefetch is marked as no exposure."""

    record: Callable[[Sequence[Event]], Awaitable[object]]
    name: str = "served_log"
    policy: FailPolicy = FailPolicy.OPEN
    outlasts: bool = True

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def note(self, query: Query, slate: Slate) -> Served:
        """Return a slate with positions, sources and how each item was chosen."""
        epsilons = slate.candidates.column(EPSILON, 0.0).tolist()
        drawn = any(epsilons)
        return Served(
            event_id=new_id("srv"),
            timestamp=query.received,
            ingested_at=query.received,
            user_id=query.user_id,
            request_id=query.request_id,
            placement=query.placement,
            bundle=slate.bundle,
            items=query.scratch[ANSWERED],
            propensities=slate.candidates.column("propensity", 1.0).tolist(),
            sources=list(slate.sources),
            policy=query.scratch.get("policy", "greedy"),
            exposure=not query.prefetch,
            epsilons=epsilons if drawn else [],
            pools=slate.candidates.column(POOL_SIZE, 0.0).astype(int).tolist() if drawn else [],
            pinned=slate.candidates.column(PINNED, 0.0).nonzero()[0].tolist()
            if PINNED in slate.candidates.columns
            else [],
            seed=query.seed if drawn else 0,
            placements_version=query.placements_version,
        )

    async def run(self, notes: Sequence[Served]) -> None:
        """Append them to the log."""
        await self.record(notes)

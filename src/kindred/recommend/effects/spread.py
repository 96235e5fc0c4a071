"""How evenly exposures are spread, measured at every request."""

from collections.abc import Sequence
from dataclasses import dataclass

from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.pipeline.stages import FailPolicy
from kindred.ports.telemetry import Meter
from kindred.recommend.effects.slices import in_slices
from kindred.recommend.rerankers.bubble import spread_of
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class ExposureSpread:
    """Measures `exposure_entropy_share` by placement: one value per request of a user who was shown enough lately."""

    world: World
    meter: Meter
    name: str = "exposure_spread"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether the user has a record."""
        return "record" in query.scratch

    async def run(self, answered: Sequence[tuple[Query, Slate]]) -> None:
        """Measure the day before each request."""
        async for query, _ in in_slices(answered):
            spread = spread_of(self.world, query)
            if spread is not None:
                self.meter.observe("exposure_entropy_share", spread, placement=query.placement)

"""How evenly exposures are spread, measured at every request."""

from collections.abc import Sequence
from dataclasses import dataclass

from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.pipeline.stages import FailPolicy
from kindred.ports.telemetry import Meter
from kindred.recommend.rerankers.bubble import spread_of
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class ExposureSpread:
    """Measures `exposure_entropy_share` by placement: one value per request of a user who was shown enough lately."""

    world: World
    meter: Meter
    name: str = "exposure_spread"
    policy: FailPolicy = FailPolicy.OPEN
    outlasts: bool = False

    def enabled(self, query: Query) -> bool:
        """Say whether the user has a record."""
        return "record" in query.scratch

    def note(self, query: Query, slate: Slate) -> tuple[str, float | None]:
        """Return the placement, and how evenly the day before a request was spread; None where too little was shown."""
        return query.placement, spread_of(self.world, query)

    async def run(self, notes: Sequence[tuple[str, float | None]]) -> None:
        """Measure them."""
        for placement, spread in notes:
            if spread is not None:
                self.meter.observe("exposure_entropy_share", spread, placement=placement)

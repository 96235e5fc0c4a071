"""Funnel: the stages of one placement, in the order in which the Runner runs them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kindred.core.candidates import MAX_SOURCES
from kindred.core.config import Config, MoreThanZero
from kindred.core.errors import ConfigError
from kindred.pipeline.stages import (
    Effect,
    Explainer,
    Filter,
    Hydrator,
    QueryHydrator,
    Reranker,
    Room,
    Scorer,
    Source,
    Stage,
)


class Deadlines(Config, frozen=True, kw_only=True):
    """How long each wave may take; what is not ready by then fails by its stage's policy.

    `facts`: milliseconds for reading what is known about the asker. `sources`: milliseconds for all sources together.
    `features`: milliseconds for reading the candidates' features. `reasons`: milliseconds for explaining.
    `effects`: milliseconds for each of what runs after the response.
    """

    facts: MoreThanZero = 50.0
    sources: MoreThanZero = 100.0
    features: MoreThanZero = 50.0
    reasons: MoreThanZero = 50.0
    effects: MoreThanZero = 2000.0


@dataclass(frozen=True, slots=True)
class Funnel:
    """All stages over one bundle.

    `eligibility` runs before the coarse scorers and `filters` after the fine ones; `fallbacks` are asked too when
    fewer items than wanted are left, or too few that a slate has `room` for. `rerankers` order the same candidates in
    the same way every time; `draws` is the one stage behind them that may draw, so that nothing moves an item after it.

    Raises ConfigError when two stages share a name or there are more than 32 sources.
    """

    bundle: str
    facts: Sequence[QueryHydrator] = ()
    sources: Sequence[Source] = ()
    fallbacks: Sequence[Source] = ()
    eligibility: Sequence[Filter] = ()
    coarse: Sequence[Scorer] = ()
    hydrators: Sequence[Hydrator] = ()
    fine: Sequence[Scorer] = ()
    filters: Sequence[Filter] = ()
    rerankers: Sequence[Reranker] = ()
    draws: Reranker | None = None
    room: Room | None = None
    explainer: Explainer | None = None
    effects: Sequence[Effect] = ()
    deadlines: Deadlines = field(default_factory=Deadlines)

    def __post_init__(self) -> None:
        """Check the names."""
        names = [stage.name for stage in self.stages()]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(f"stages of one funnel share a name: {', '.join(doubled)}")
        if len(self.sources) + len(self.fallbacks) > MAX_SOURCES:
            raise ConfigError(f"a funnel has at most {MAX_SOURCES} sources, more are given")

    @property
    def source_names(self) -> tuple[str, ...]:
        """Return the names of all sources: provenance counts its bits in this order."""
        return tuple(source.name for source in (*self.sources, *self.fallbacks))

    def stages(self) -> list[Stage]:
        """Return all stages in order."""
        last: list[Stage] = [*self.rerankers]
        last += [stage for stage in (self.draws, self.explainer) if stage is not None]
        return [
            *self.facts,
            *self.sources,
            *self.fallbacks,
            *self.eligibility,
            *self.coarse,
            *self.hydrators,
            *self.fine,
            *self.filters,
            *last,
            *self.effects,
        ]

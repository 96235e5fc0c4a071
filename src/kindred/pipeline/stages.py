"""The protocols of stages: each returns a delta, the Runner applies it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Floats, Mask, Ordinals
from kindred.core.query import Query
from kindred.core.slate import Reason, Slate


class FailPolicy(StrEnum):
    """What a stage's failure means: OPEN skips the stage and records it on the slate, CLOSED fails the request."""

    OPEN = "open"
    CLOSED = "closed"


@runtime_checkable
class Stage(Protocol):
    """What all stages have: a name unique in its funnel, a policy, and a switch that may read the query."""

    @property
    def name(self) -> str:
        """Return the name that traces, metrics and settings use."""
        ...

    @property
    def policy(self) -> FailPolicy:
        """Return what a failure of this stage means."""
        ...

    def enabled(self, query: Query) -> bool:
        """Say whether the stage takes part in this request."""
        ...


class QueryHydrator(Stage, Protocol):
    """Reads what is known about the asker."""

    async def hydrate(self, query: Query) -> Mapping[str, Any]:
        """Return values by name: `facts` replaces `query.facts`, all others land in `query.scratch`."""
        ...


class Source(Stage, Protocol):
    """Proposes candidates."""

    async def propose(self, query: Query) -> Candidates:
        """Return candidates best first; raise when nothing can be said (the policy decides what that means)."""
        ...


class Hydrator(Stage, Protocol):
    """Fetches features of candidates, in one batched read."""

    async def columns(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return columns of length n; NaN where nothing is known."""
        ...


class Room(Protocol):
    """What a slate has room for, however many candidates there are."""

    def fitting(self, query: Query, items: Ordinals, k: int) -> NDArray[np.intp]:
        """Return the first k rows, ascending, of items (n,), best first, that may stand in one slate together."""
        ...


class Scorer(Stage, Protocol):
    """Computes columns from columns."""

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return columns of length n; NaN counts as no value and is reported."""
        ...


class Filter(Stage, Protocol):
    """Decides what may be shown."""

    def keep(self, query: Query, candidates: Candidates) -> Mask:
        """Return a mask of length n, true where the item may stay."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """An order over candidates: `index (m,)` rows best first, `propensity (m,) float32` the probability of each choice.

    `detail` says for the trace how the choice was made; `columns (m,)` are added to the rows, for the stages behind.
    """

    index: NDArray[np.intp]
    propensity: Floats
    detail: Mapping[str, Any]
    columns: Mapping[str, Floats] = field(default_factory=dict)


class Reranker(Stage, Protocol):
    """Orders candidates into a slate with a reserve."""

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return which rows stand where; rows left out are dropped."""
        ...


class Explainer(Stage, Protocol):
    """Says why each item of the slate is there."""

    async def explain(self, query: Query, slate: Slate) -> list[Reason]:
        """Return one reason per item, true to the source that the slate names for it."""
        ...


class Effect(Stage, Protocol):
    """Does something after the responses of a moment; its failure is counted and never reaches a client."""

    @property
    def outlasts(self) -> bool:
        """Say whether it goes on where it takes longer than anyone waits for it; else it is cancelled."""
        ...

    def note(self, query: Query, slate: Slate) -> Any:
        """Return what `run` has to know of one answer; where this fails, those beside it are still acted on."""
        ...

    async def run(self, notes: Sequence[Any]) -> None:
        """Act on what was noted of the answers of a moment, at least one."""
        ...

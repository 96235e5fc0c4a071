"""What the HTTP interface needs of the application, said as protocols, so that a test can stand in for it."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from kindred.app.placements import LivePlacements
from kindred.core.clock import Clock
from kindred.core.event import Event
from kindred.core.position import Position
from kindred.core.trace import Trace
from kindred.monitoring.prometheus import PrometheusMeter
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import EventLog
from kindred.ports.operations import TokenStore
from kindred.ports.state import StateStore
from kindred.recommend.ask import (
    Ask,
    ListAnswer,
    ListAsk,
    SearchAsk,
    Served,
    SimilarAnswer,
    SimilarAsk,
    SimilarUsersAnswer,
    SimilarUsersAsk,
)
from kindred.recommend.pressure import Pressure
from kindred.recommend.why_not import WhyNot


class EventJournal(Protocol):
    """Takes events durably."""

    async def record(self, events: Sequence[Event]) -> list[Position]:
        """Append events, all or none in each partition, and return a position each once they are durable."""
        ...


class Answers(Protocol):
    """Answers questions from the active bundle and the folded state."""

    @property
    def pressure(self) -> Pressure:
        """Return what tells answers to cost less."""
        ...

    async def recommend(self, ask: Ask) -> Served:
        """Return a slate; raise NoBundle when nothing was trained."""
        ...

    async def search(self, asked: SearchAsk) -> Served:
        """Return what matches a text, best first; raise NoBundle when nothing was trained."""
        ...

    async def similar(self, ask: SimilarAsk) -> SimilarAnswer:
        """Return items like another; raise NotFound for an unknown one."""
        ...

    async def similar_users(self, ask: SimilarUsersAsk) -> SimilarUsersAnswer:
        """Return users whose taste is like another's; raise NotFound for an unknown one."""
        ...

    async def listing(self, ask: ListAsk) -> ListAnswer:
        """Return a list that is the same for everyone."""
        ...

    async def trace(self, request_id: str) -> Trace:
        """Return what the stages of a request did; raise NotFound or Gone."""
        ...

    async def why_not(self, request_id: str, item_id: str) -> WhyNot:
        """Return why an item is not in the answer to a request; raise NotFound or Gone."""
        ...

    async def wait_for(self, position: Position, timeout: float) -> bool:
        """Wait up to `timeout` seconds until `position` is folded; return whether it is."""
        ...

    def ready(self) -> list[str]:
        """Return why no answer can be given, one sentence each; nothing when ready."""
        ...

    def warnings(self) -> list[str]:
        """Return what someone should look at though answers are given, one sentence each."""
        ...


class Shelves(Protocol):
    """The stores that HTTP reads directly."""

    @property
    def catalog(self) -> CatalogStore:
        """Return the items."""
        ...

    @property
    def profiles(self) -> ProfileStore:
        """Return the users."""
        ...

    @property
    def tokens(self) -> TokenStore:
        """Return the bearer tokens."""
        ...

    @property
    def state(self) -> StateStore:
        """Return the folded state."""
        ...

    @property
    def log(self) -> EventLog:
        """Return the log of events."""
        ...

    @property
    def interactions(self) -> InteractionStore:
        """Return the history."""
        ...


class Platform(Protocol):
    """The application behind the HTTP interface."""

    @property
    def clock(self) -> Clock:
        """Return the clock of arrivals."""
        ...

    @property
    def meter(self) -> PrometheusMeter:
        """Return the measurements."""
        ...

    @property
    def stores(self) -> Shelves:
        """Return the stores."""
        ...

    @property
    def journal(self) -> EventJournal:
        """Return the way into the log."""
        ...

    @property
    def placements(self) -> LivePlacements:
        """Return the placements with their versions."""
        ...

    @property
    def serving(self) -> Answers:
        """Return what answers."""
        ...


Injected: TypeAlias = NamedDependency[SkipValidation[Platform]]
"""How a handler asks for the application."""

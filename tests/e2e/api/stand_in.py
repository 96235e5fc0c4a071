"""An application to put behind the HTTP interface: real memory stores, answers that need no bundle."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.rules import MemoryRules
from kindred.adapters.memory.state import MemoryStateStore
from kindred.adapters.memory.tokens import MemoryTokens
from kindred.api.limits import HttpConfig
from kindred.api.server import create_asgi
from kindred.api.tokens import mint
from kindred.app.placements import LivePlacements
from kindred.core.clock import FixedClock
from kindred.core.errors import KindredError, NotFound
from kindred.core.event import (
    Event,
    Interaction,
    ItemDeleted,
    ItemSwitchedOff,
    ItemUpserted,
    ProfileErased,
    ProfileUpdated,
    decode_event,
    encode_event,
)
from kindred.core.item import CatalogItem, Item
from kindred.core.position import START, Position
from kindred.core.slate import Reason, ReasonCode
from kindred.core.trace import StageTrace, Trace
from kindred.ingest.effects import write_catalogue
from kindred.ingest.plan import plan
from kindred.monitoring.prometheus import PrometheusMeter
from kindred.ports.log import LogRecord
from kindred.recommend.ask import (
    Ask,
    ListAnswer,
    ListAsk,
    SearchAsk,
    Served,
    ShownItem,
    SimilarAnswer,
    SimilarAsk,
    SimilarUsersAnswer,
    SimilarUsersAsk,
)
from kindred.recommend.config import PlacementConfig
from kindred.recommend.pressure import Pressure
from kindred.recommend.why_not import WhyNot

_ATTRIBUTES = {"year": 1995}
NOW = 1_700_000_000_000


@dataclass
class Shelves:
    """Memory stores."""

    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    profiles: MemoryProfiles = field(default_factory=MemoryProfiles)
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    state: MemoryStateStore = field(default_factory=MemoryStateStore)
    interactions: MemoryInteractions = field(default_factory=MemoryInteractions)


class FoldingJournal:
    """Takes events through their own encoding and folds them at once."""

    def __init__(self, stores: Shelves) -> None:
        self.stores = stores
        self.events: list[Event] = []
        self.failure: KindredError | None = None

    async def record(self, events: Sequence[Event]) -> list[Position]:
        if self.failure is not None:
            raise self.failure
        positions = []
        for event in events:
            positions.append(Position(0, 0, len(self.events)))
            self.events.append(decode_event(encode_event(event)))
            await self._fold(self.events[-1])
        return positions

    async def _fold(self, event: Event) -> None:
        match event:
            case ItemUpserted() | ItemDeleted() | ItemSwitchedOff():
                made = plan([LogRecord(Position(0, 0, 0), encode_event(event))])
                await write_catalogue(made, self.stores.catalog, START, NOW)
            case ProfileUpdated():
                await self.stores.profiles.upsert([event.profile])
            case ProfileErased():
                await self.stores.profiles.delete([event.user_id])
            case Interaction():
                await self.stores.catalog.resolve([event.item_id or "search"], NOW)


class PlainAnswers:
    """Answers with the first items of the catalogue and remembers what it was asked."""

    def __init__(self, stores: Shelves) -> None:
        self.stores = stores
        self.pressure = Pressure()
        self.asked: list[Any] = []
        self.failure: Exception | None = None
        self.folded = True
        self.reasons: list[str] = []

    def _hear(self, ask: Any) -> None:
        self.asked.append(ask)
        if self.failure is not None:
            raise self.failure

    async def recommend(self, ask: Ask) -> Served:
        self._hear(ask)
        found = await self.stores.catalog.page("", ask.count or 20)
        reason = Reason(code=ReasonCode.BECAUSE_YOU_WATCHED, text="Because you watched Heat", anchor=0)
        shown = [ShownItem(c.ordinal, c, 0.5, reason, "anchor", "als", ("als", "popular"), 3.75) for c in found]
        trace = Trace(request_id="rec_1", stages=[StageTrace(stage="als", kind="source")]) if ask.trace else None
        propensities = [1.0] * len(shown)
        return Served("rec_1", shown, propensities, "standard", [], "b1", "0.0.7", 1.25, ask.placement or "home", trace)

    async def search(self, asked: SearchAsk) -> Served:
        served = await self.recommend(asked.ask)
        self.asked[-1] = asked
        return served

    async def similar(self, ask: SimilarAsk) -> SimilarAnswer:
        self._hear(ask)
        (known,) = await self.stores.catalog.get([ask.item_id])
        if known is None:
            raise NotFound(f"there is no item {ask.item_id!r}")
        return SimilarAnswer(ask.item_id, ask.metric, "b1", "0.0.7", await self._rows(ask.count))

    async def similar_users(self, ask: SimilarUsersAsk) -> SimilarUsersAnswer:
        self._hear(ask)
        if ask.user_id == "nope":
            raise NotFound(f"there is no user {ask.user_id!r}")
        return SimilarUsersAnswer(ask.user_id, "0.0.7", [("u2", 0.5, 3)])

    async def listing(self, ask: ListAsk) -> ListAnswer:
        self._hear(ask)
        return ListAnswer(ask.window, "b1", "0.0.7", await self._rows(ask.count))

    async def _rows(self, count: int) -> list[tuple[CatalogItem, float, str]]:
        return [(found, 0.5, "Similar genre") for found in await self.stores.catalog.page("", count)]

    async def trace(self, request_id: str) -> Trace:
        self._hear(request_id)
        if request_id != "rec_1":
            raise NotFound(f"there is no request {request_id!r}")
        return Trace(request_id=request_id)

    async def why_not(self, request_id: str, item_id: str) -> WhyNot:
        self._hear((request_id, item_id))
        if request_id != "rec_1":
            raise NotFound(f"there is no request {request_id!r}")
        return WhyNot(
            request_id=request_id, item_id=item_id, outcome="filtered", said="", bundle="b1", state_version="0.0.7"
        )

    async def wait_for(self, position: Position, timeout: float) -> bool:
        await asyncio.sleep(0)
        return self.folded

    def ready(self) -> list[str]:
        return self.reasons

    def warnings(self) -> list[str]:
        return []


class StandIn:
    """The application: built by `stand_in`."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.meter = PrometheusMeter()
        self.stores = Shelves()
        self.journal = FoldingJournal(self.stores)
        self.serving = PlainAnswers(self.stores)
        self.rules = MemoryRules()
        configured = {"home": PlacementConfig(count=10), "search": PlacementConfig()}
        self.placements = LivePlacements(self.rules, configured, self.clock, self.meter)
        self.tokens: dict[str, str] = {}

    def client(self, scope: str | None = "admin") -> httpx.AsyncClient:
        """Return a client with a token of that scope, or with none."""
        headers = {} if scope is None else {"Authorization": f"Bearer {self.tokens[scope]}"}
        transport = httpx.ASGITransport(self.asgi, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://kindred", headers=headers)


async def stand_in(items: int = 3) -> StandIn:
    """Build an application with a token per scope and `items` items."""
    app = StandIn()
    for scope in ("read", "write", "admin"):
        text, token = mint([scope], scope, NOW)
        await app.stores.tokens.add(token)
        app.tokens[scope] = text
    named = [
        Item(
            item_id=f"movie_{n}",
            title=f"Movie {n}",
            categories=["action", "crime"],
            rating=4.5,
            attributes=_ATTRIBUTES,
        )
        for n in range(items)
    ]
    await app.stores.catalog.upsert(named, NOW)
    app.asgi = create_asgi(app, config=HttpConfig(queue_target=0))
    return app

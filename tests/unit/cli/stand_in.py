"""An application over memory stores whose answers are given."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kindred.app.sections import StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.clock import FixedClock
from kindred.core.item import CatalogItem, Item
from kindred.core.slate import Reason, ReasonCode
from kindred.core.trace import StageTrace, Trace
from kindred.recommend.ask import Ask, ListAnswer, ListAsk, Served, ShownItem, SimilarAnswer, SimilarAsk

NOW = 1_750_000_000_000
MEMORY = StoresConfig(
    event_log="memory:",
    state="memory:",
    interactions="memory:",
    catalog="memory:",
    profiles="memory:",
    cache="memory:",
    models="memory:",
    vectors="memory:",
    traces="memory:",
    tokens="memory:",
    rules="memory:",
    leases="memory:",
    dead_letters="memory:",
)


def catalog_item(ordinal: int) -> CatalogItem:
    item = Item(item_id=f"i{ordinal}", title=f"Film {ordinal}", categories=["Drama"])
    return CatalogItem(ordinal=ordinal, seq=ordinal, listed=True, item=item)


def shown(ordinal: int, source: str = "als") -> ShownItem:
    reason = Reason(code=ReasonCode.BECAUSE_YOU_RATED, text="Because you rated Film 9", anchor=9)
    return ShownItem(ordinal, catalog_item(ordinal), 0.5, reason, "i9", source, (source, "popular"))


class GivenAnswers:
    """Serving with given answers; remembers what it was asked."""

    def __init__(self, items: list[ShownItem] | None = None, strategy: str = "standard") -> None:
        self.items = [shown(1), shown(2, "popular")] if items is None else items
        self.strategy = strategy
        self.degraded: list[str] = []
        self.stages: list[StageTrace] = []
        self.asked: list[Any] = []

    async def recommend(self, ask: Ask) -> Served:
        self.asked.append(ask)
        trace = Trace(request_id="rec_1", stages=self.stages, milliseconds=1.5) if ask.trace else None
        return Served(
            "rec_1",
            self.items,
            [1.0] * len(self.items),
            self.strategy,
            self.degraded,
            "b1",
            "0.0.7",
            1.5,
            "home",
            trace,
        )

    async def similar(self, ask: SimilarAsk) -> SimilarAnswer:
        self.asked.append(ask)
        return SimilarAnswer(ask.item_id, ask.metric, "b1", "0.0.7", [(catalog_item(3), 0.9, "Both are dramas")])

    async def listing(self, ask: ListAsk) -> ListAnswer:
        self.asked.append(ask)
        return ListAnswer(ask.window, "b1", "0.0.7", [(catalog_item(4), 3.5, "Trending in Drama")])


async def memory_stores(home: Path) -> Stores:
    return await open_stores(MEMORY, home)


def given_app(serving: GivenAnswers, stores: Stores | None = None, settings: Any = None) -> SimpleNamespace:
    return SimpleNamespace(serving=serving, stores=stores, clock=FixedClock(NOW), settings=settings)


def opening(value: Any) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Return what stands in for `opened_app` or `opened_stores`."""

    @asynccontextmanager
    async def opened(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield value

    return opened

"""App: settings in, a running platform out."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field

from kindred.app.follower import Follower
from kindred.app.notices import Notices
from kindred.app.page_tokens import PageTokens, read_secret
from kindred.app.placements import LivePlacements
from kindred.app.sections import StoresConfig, consumer_config, preference_config
from kindred.app.serving import Serving
from kindred.app.stores import Stores, open_stores
from kindred.app.text_feed import TextFeed
from kindred.core.clock import Clock, SystemClock
from kindred.core.errors import KindredError
from kindred.ingest.consumer import Consumer
from kindred.ingest.journal import Journal
from kindred.models.trending import TrendingConfig
from kindred.monitoring.prometheus import PrometheusMeter
from kindred.pipeline.funnel import Deadlines
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.search.config import SearchConfig
from kindred.settings.load import Settings

STOP_SECONDS = 10.0
CONSUMER_FIRST = 10.0
"""Seconds for which a server beside consumers leaves the text index to one of them."""


@dataclass(slots=True)
class App:
    """One process's platform: its stores, its way into the log, its answers, and the work behind them."""

    settings: Settings
    clock: Clock
    meter: PrometheusMeter
    stores: Stores
    journal: Journal
    follower: Follower
    placements: LivePlacements
    text_feed: TextFeed
    serving: Serving
    consumer: Consumer
    notices: Notices
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _consuming: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, consume: bool = True) -> None:
        """Begin to follow, to consume (or to stand by) unless not `consume`, and to sweep.

        The first world is there on return if any is.
        """
        self.follower.touches = True
        with contextlib.suppress(KindredError):
            await self.follower.step()
        with contextlib.suppress(KindredError):
            await self.placements.step()
        if consume:
            self._consuming = asyncio.create_task(self.consume(self._stop))
        else:
            self._begin(self.text_feed.run(CONSUMER_FIRST))
        self._begin(self.notices.tell())
        self._begin(self.follower.run())
        self._begin(self.placements.run())
        self._begin(self.serving.sweep())

    async def consume(self, stop: asyncio.Event) -> None:
        """Fold until `stop` is set, and write the text index; look at once where another process recorded something."""
        beside = [asyncio.create_task(self.notices.listen()), asyncio.create_task(self.text_feed.run())]
        try:
            await self.consumer.run(stop)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def close(self) -> None:
        """Finish what was begun, give back the lease, close the stores; a second call does nothing."""
        self._stop.set()
        consuming, self._consuming = self._consuming, None
        others, self._tasks = self._tasks, []
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.serving.drain(), STOP_SECONDS)
        for task in others:
            task.cancel()
        if consuming is not None:
            self.consumer.wake()
            await asyncio.wait([consuming], timeout=STOP_SECONDS)
            consuming.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.stores.close()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))


async def build_app(settings: Settings, clock: Clock | None = None) -> App:
    """Open the stores and wire everything over them; nothing runs before `start`."""
    clock = clock or SystemClock()
    meter = PrometheusMeter()
    stores = await open_stores(settings.section(StoresConfig), settings.home)
    consumer = Consumer(
        stores.ingest, stores.leases, consumer_config(settings), settings.section(TrendingConfig), clock, meter
    )
    notices = Notices(stores.notifier, consumer.wake)
    journal = Journal(stores.log, notices.recorded, meter)
    recommend = settings.section(RecommendConfig)
    follower = Follower(stores, clock, recommend, preference_config(settings), meter)
    placements = LivePlacements(stores.rules, settings.table("placements", PlacementConfig), clock, meter)
    serving = Serving(
        stores,
        follower,
        clock,
        recommend,
        placements,
        settings.section(Deadlines),
        meter,
        journal.record,
        PageTokens(read_secret(settings.home)),
        settings.section(SearchConfig),
        settings.section(ReservesConfig),
    )
    text_feed = TextFeed(stores.catalog, stores.text, meter)
    return App(settings, clock, meter, stores, journal, follower, placements, text_feed, serving, consumer, notices)

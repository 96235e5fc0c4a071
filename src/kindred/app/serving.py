"""Serving: answers questions from the present world, and does what follows an answer."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from kindred.app.asking import as_search, build_query, placement_of
from kindred.app.explaining import read_record, trace_again, why_not_again
from kindred.app.follow_ups import FollowUps
from kindred.app.follower import Follower
from kindred.app.page_tokens import Page, PageTokens
from kindred.app.placements import LivePlacements
from kindred.app.stores import Stores
from kindred.core.clock import DAY, Clock
from kindred.core.errors import BundleError, KindredError, NotFound, StoreFull, StoreUnavailable
from kindred.core.event import Event
from kindred.core.ids import new_id
from kindred.core.item import CatalogItem
from kindred.core.position import Position
from kindred.core.query import Query
from kindred.core.slate import Reason, ReasonCode, Slate
from kindred.core.trace import Trace
from kindred.ingest.journal import folded
from kindred.pipeline.funnel import Deadlines, Funnel
from kindred.pipeline.runner import Runner
from kindred.ports.telemetry import Meter
from kindred.recommend.ask import (
    ANSWERED,
    SHOWN,
    WRITTEN,
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
from kindred.recommend.config import RecommendConfig
from kindred.recommend.effects.replay import ReplayLog, ReplayRecord, replay_query
from kindred.recommend.effects.served import ServedLog
from kindred.recommend.effects.spread import ExposureSpread
from kindred.recommend.explainers.moved import moved
from kindred.recommend.filters.rules import emptied_by
from kindred.recommend.funnels import build_funnel
from kindred.recommend.listing import list_items
from kindred.recommend.pressure import Pressure
from kindred.recommend.rerankers.constraints import SHORT
from kindred.recommend.reserves.answers import ReserveAnswers
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.reserves.reserve import Grade
from kindred.recommend.search.config import SearchConfig
from kindred.recommend.search.funnel import build_search_funnel
from kindred.recommend.similar import similar_items
from kindred.recommend.similar_users import similar_users
from kindred.recommend.where.passing import asked_by, let_through
from kindred.recommend.why_not import WhyNot
from kindred.recommend.world import World

SWEEP_MINUTES = 60
PASSING_SHORTAGES = {*SHORT.values(), "catalogue"}
"""What leaves a page short though there is more: caps start anew with the next one."""
# Said when reasons failed: nothing else would be sure to be true.
UNEXPLAINED = Reason(code=ReasonCode.FROM_CATALOGUE, text="From the catalogue")


class Serving:
    """One server's way from a question to an answer."""

    def __init__(
        self,
        stores: Stores,
        follower: Follower,
        clock: Clock,
        config: RecommendConfig,
        placements: LivePlacements,
        deadlines: Deadlines,
        meter: Meter,
        record: Callable[[Sequence[Event]], Awaitable[object]],
        pages: PageTokens,
        search: SearchConfig | None = None,
        reserves: ReservesConfig | None = None,
    ) -> None:
        """Answer from what `follower` keeps current; `record` takes what was served, `pages` say how it goes on."""
        self._pages = pages
        self._search = search or SearchConfig()
        self._stores = stores
        self._follower = follower
        self._clock = clock
        self._config = config
        self._placements = placements
        self._deadlines = deadlines
        self._meter = meter
        self._runner = Runner(meter)
        self.pressure = Pressure()
        self._reserves = ReserveAnswers(
            self._runner, stores.cache, reserves or ReservesConfig(), config, meter, self.pressure
        )
        self._effects = (ReplayLog(stores.traces.put, config.trace_share), ServedLog(record))
        self._follow_ups = FollowUps(self._runner, meter)
        self._built: tuple[World, Funnel, Funnel] | None = None

    async def recommend(self, ask: Ask) -> Served:
        """Answer with a slate; raise NoBundle when nothing was trained."""
        started = time.perf_counter()
        world, funnel, _ = self._present()
        query = await self._query(world, ask)
        return await self._serve(world, funnel, query, started, ask)

    async def precompute(self, ask: Ask) -> Grade:
        """Leave a reserve for a question where other processes find it; `fresh` where there was one already.

        Raises NoBundle when nothing was trained.
        """
        world, funnel, _ = self._present()
        return await self._reserves.precompute(world, funnel, await self._query(world, ask))

    async def search(self, asked: SearchAsk) -> Served:
        """Answer with what matches a text, best first; raise NoBundle when nothing was trained."""
        started = time.perf_counter()
        world, _, funnel = self._present()
        query = as_search(await self._query(world, asked.ask), asked, self._search)
        return await self._serve(world, funnel, query, started)

    async def _query(self, world: World, ask: Ask) -> Query:
        # Taken once: another version may come while the question is read.
        now, placements, page = self._clock.now(), self._placements.now, None
        if ask.page_token is not None:
            page = self._pages.read(ask.page_token, ask, placement_of(ask, placements.by_name), now)
        return await build_query(ask, new_id("rec"), now, placements, world, page)

    async def _serve(
        self, world: World, funnel: Funnel, query: Query, started: float, ask: Ask | None = None
    ) -> Served:
        """Answer a query; what `ask` led to has a next page."""
        slate = await self._slate(world, funnel, query)
        items = self._shown(world, query, slate)
        query.scratch[ANSWERED] = [one.catalog_item.item.item_id for one in items]
        if query.want_trace and slate.trace is not None:
            slate.trace.items = moved(world, slate.candidates, slate.all_sources)
        self._follow_ups.add(funnel, query, slate)
        token = None if ask is None else self._behind(ask, query, slate)
        took = time.perf_counter() - started
        self._meter.observe("recommend_seconds", took, placement=query.placement)
        return Served(
            request_id=query.request_id,
            items=items,
            propensities=slate.candidates.column("propensity", 1.0).tolist(),
            strategy=slate.strategy,
            degraded=slate.degraded,
            model_version=slate.bundle,
            state_version=str(slate.state_version),
            took_ms=round(took * 1000, 3),
            placement=query.placement,
            trace=slate.trace if query.want_trace else None,
            next_page_token=token,
            # What was not kept to be shown again must not be written for it.
            written=query.scratch.get(WRITTEN) if _lasts(slate) else None,
        )

    async def similar(self, ask: SimilarAsk) -> SimilarAnswer:
        """Answer with items like another; raise NotFound for an unknown one, NoBundle when nothing was trained."""
        return await similar_items(self._follower.world, self._stores.cache, ask, self._clock.now())

    async def similar_users(self, ask: SimilarUsersAsk) -> SimilarUsersAnswer:
        """Answer with people like another; raise NotFound for an unknown one, NoBundle when nothing was trained."""
        return await similar_users(self._follower.world, self._stores.interactions, ask, self._clock.now())

    async def listing(self, ask: ListAsk) -> ListAnswer:
        """Answer with a list that is the same for everyone; raise NoBundle when nothing was trained."""
        return await list_items(self._follower.world, ask, self._clock.now())

    async def trace(self, request_id: str) -> Trace:
        """Return what the stages of a request did: as kept, else worked out again and marked as exact or not.

        Raises NotFound for an id never seen here, Gone when it is past its day.
        """
        record = await self._record_of(request_id)
        if record.trace is not None:
            return record.trace
        return await trace_again(self._runner, *(await self._again(record, request_id)), record)

    async def why_not(self, request_id: str, item_id: str) -> WhyNot:
        """Return why an item is not in the answer to a request; raise what `trace` does, and NotFound for the item."""
        record = await self._record_of(request_id)
        return await why_not_again(self._runner, *(await self._again(record, request_id)), record, item_id)

    async def _record_of(self, request_id: str) -> ReplayRecord:
        await self._follow_ups.done_with(request_id)
        return await read_record(self._stores.traces, request_id, self._clock.now())

    async def _again(self, record: ReplayRecord, request_id: str) -> tuple[World, Funnel, Query]:
        world, recommending, searching = self._present()
        if record.bundle != world.models.version:
            with contextlib.suppress(NotFound, BundleError, StoreFull):
                world = await self._follower.kept(record.bundle)
                recommending, searching = self._funnels(world)
        rules = await self._placements.rules(record.placement, record.placements_version) if record.rules else ()
        query = replay_query(record, request_id, rules)
        query.where = await let_through(world, asked_by(query))
        return world, recommending if record.search is None else searching, query

    async def wait_for(self, position: Position, timeout: float) -> bool:
        """Wait up to `timeout` seconds until `position` is folded and this server's tables know; return whether.

        A store that fails meanwhile is a no: what stands in the log already was claimed.
        """
        try:
            async with asyncio.timeout(timeout):
                if not await folded(self._stores.state, position, timeout):
                    return False
                await self._follower.catch_up()
        except (TimeoutError, KindredError):
            return False
        return True

    def ready(self) -> list[str]:
        """Return why no full answer can be given, one sentence each.

        A new bundle that was refused is none while the one before it serves: see `warnings`.
        """
        said = []
        if not self._follower.has_world:
            refused = self._follower.refused
            why = f"the active bundle cannot be used: {refused}" if refused else "no bundle was trained yet"
            said.append(f"{why}: run `kindred train`")
        if self._follower.trouble:
            said.append(self._follower.trouble)
        if not self._placements.looked:
            said.append(self._placements.trouble or "the placements were not read yet")
        return said

    def warnings(self) -> list[str]:
        """Return what someone should look at though answers are given, one sentence each."""
        said = []
        if self._follower.has_world and self._follower.refused:
            said.append(f"the active bundle was refused, the one before it serves: {self._follower.refused}")
        return said + [each for each in (self._follower.crowded, self._placements.trouble) if each]

    async def sweep(self) -> None:
        """Drop reserves past their time every minute, and replay records past their day every hour, until cancelled."""
        for minute in count():
            self._reserves.sweep(self._clock.now())
            if minute % SWEEP_MINUTES == 0:
                with contextlib.suppress(KindredError):
                    await self._stores.traces.sweep(self._clock.now() - DAY)
            await asyncio.sleep(60)

    async def drain(self) -> None:
        """Wait for what follows the answers already given."""
        await self._follow_ups.drain()
        await self._reserves.drain()

    def _present(self) -> tuple[World, Funnel, Funnel]:
        """Return the present world, and over it the funnel of recommendations and that of searches."""
        world = self._follower.world
        if self._built is None or self._built[0] is not world:
            self._built = (world, *self._funnels(world))
        return self._built

    def _funnels(self, world: World) -> tuple[Funnel, Funnel]:
        """Return over a world the funnel of recommendations and that of searches."""
        effects = (*self._effects, ExposureSpread(world, self._meter))
        return (
            build_funnel(world, effects, self._deadlines),
            build_search_funnel(world, self._stores.text, self._search, self._effects, self._deadlines),
        )

    def _behind(self, ask: Ask, query: Query, slate: Slate) -> str | None:
        """Return the token of the next page; None where this one shows that nothing is left."""
        items = slate.candidates.items.tolist()
        if not items or not (len(items) >= query.count or PASSING_SHORTAGES.intersection(slate.degraded)):
            return None
        page = Page(slate.bundle, query.seed, (*query.shown, *items))
        return self._pages.write(ask, query.placement, page, query.received)

    async def _slate(self, world: World, funnel: Funnel, query: Query) -> Slate:
        """Make a slate and read its items; while the catalogue is away, the best of those that are in memory."""
        slate = explain_shortage(world, query, await self._reserves.slate(world, funnel, query))
        slate = await read_cards(world, query, slate)
        if "catalogue" not in slate.degraded:
            return slate
        return await self._from_memory(world, funnel, query)

    async def _from_memory(self, world: World, funnel: Funnel, query: Query) -> Slate:
        """Make a slate of items in memory alone; slots are drawn among those, as the propensities say."""
        recorder = self._runner.begin(funnel, query)
        await self._runner.ask(funnel, query, recorder)
        ranked = await self._runner.rank(funnel, query, recorder)
        kept = world.cards.kept(ranked.items.tolist())
        query.failures.append("catalogue")
        query.scratch.pop(SHOWN, None)
        query.scratch.pop(WRITTEN, None)
        there = ranked.take(np.isin(ranked.items, list(kept)))
        slate = await self._runner.finish(funnel, query, there, recorder)
        query.scratch["items"] = {**query.scratch.get("items", {}), **kept}
        return slate

    def _shown(self, world: World, query: Query, slate: Slate) -> list[ShownItem]:
        """Return what is shown of a slate's items; of a reserve's, what an earlier answer showed."""
        kept: dict[int, ShownItem] = query.scratch.get(SHOWN, {})
        items = slate.candidates.items.tolist()
        new = [row for row, item in enumerate(items) if item not in kept]
        if not new:
            return [kept[item] for item in items]
        made = _show(world, query.scratch["items"], slate.take(new))
        if _lasts(slate):
            kept.update(made)
        return [kept.get(item) or made[item] for item in items]


def _lasts(slate: Slate) -> bool:
    """Say whether later answers may show what this one does of its items."""
    return bool(slate.reasons) and "catalogue" not in slate.degraded


def _show(world: World, known: Mapping[int, CatalogItem], slate: Slate) -> dict[int, ShownItem]:
    """Return what an answer shows of each item of a slate, by ordinal."""
    scores, ratings = slate.candidates.column("score", 0.0).tolist(), world.ratings_of(slate.candidates.items).tolist()
    text_scores = np.nan_to_num(slate.candidates.column("raw.text", 0.0)).tolist()
    shown = {}
    for row, item in enumerate(slate.candidates.items.tolist()):
        reason = slate.reasons[row] if slate.reasons else UNEXPLAINED
        anchor = None if reason.anchor is None else known.get(reason.anchor)
        shown[item] = ShownItem(
            ordinal=item,
            catalog_item=known[item],
            score=scores[row],
            reason=reason,
            anchor_item_id=None if anchor is None else anchor.item.item_id,
            source=slate.sources[row],
            sources=slate.all_sources[row],
            rating=None if math.isnan(ratings[row]) else round(ratings[row], 2),
            text_score=text_scores[row],
        )
    return shown


async def read_cards(world: World, query: Query, slate: Slate) -> Slate:
    """Leave the slate's catalogue items in `query.scratch["items"]`, unless all of them were shown before.

    Return the slate without those that the catalogue does not know; while it is away, without those that are not in
    memory, and say so.
    """
    shown: Mapping[int, ShownItem] = query.scratch.get(SHOWN, {})
    items = slate.candidates.items.tolist()
    missing = [item for item in items if item not in shown]
    if not missing:
        return slate
    known = {item: shown[item].catalog_item for item in items if item in shown} | query.scratch.get("items", {})
    missing = [item for item in missing if item not in known]
    query.scratch["items"] = known
    anchors = [reason.anchor for reason in slate.reasons if reason.anchor is not None]
    missing += [anchor for anchor in anchors if anchor not in known]
    if not missing:
        return slate
    away = []
    try:
        known.update(await world.cards.of(missing))
    except StoreUnavailable:
        known.update(world.cards.kept(missing))
        away = ["catalogue"]
    there = [row for row, item in enumerate(items) if item in known]
    slate = slate if len(there) == len(items) else slate.take(there)
    return replace(slate, degraded=[*slate.degraded, *away]) if away else slate


def explain_shortage(world: World, query: Query, slate: Slate) -> Slate:
    """Say which rule left a slate short: `under_filled:category`, or `empty_catalogue`.

    A search that finds less than was asked for is whole: nothing else matches.
    """
    if "under_filled" not in slate.degraded:
        return slate
    if query.search is not None:
        return replace(slate, degraded=[said for said in slate.degraded if said != "under_filled"])
    if not world.table.listed.any():
        cause = "empty_catalogue"
    else:
        rules = emptied_by(world, query)
        cause = f"under_filled:{rules[0]}" if rules else "under_filled"
    return replace(slate, degraded=[cause if said == "under_filled" else said for said in slate.degraded])

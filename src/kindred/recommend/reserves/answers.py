"""Answers from reserves: what was ranked a moment ago is finished again, ranked again, or made anew."""

import asyncio
import contextlib
from dataclasses import replace

import msgspec
import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.errors import KindredError
from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.core.trace import StageTrace
from kindred.features.groups import erased_key, read_erasure_mark
from kindred.pipeline.funnel import Funnel
from kindred.pipeline.runner import Runner, degraded_by
from kindred.ports.operations import Cache
from kindred.ports.telemetry import Meter
from kindred.recommend.ask import SHOWN, WRITTEN
from kindred.recommend.config import RecommendConfig
from kindred.recommend.filters.rules import shared_masks
from kindred.recommend.known_user import KNOWN_USER, KnownUser, known_user
from kindred.recommend.pressure import PRESSURE, Pressure
from kindred.recommend.rerankers.constraints import SHORT
from kindred.recommend.rerankers.exploration import DECK
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.reserves.near import Arranged, Held, NearReserves, Told
from kindred.recommend.reserves.request import Request, keepable
from kindred.recommend.reserves.reserve import GRADE, Grade, Reserve, candidate_set, cut
from kindred.recommend.reserves.shared import SharedReserves
from kindred.recommend.world import World

_NEAR, _SHARED, _NONE = "process", "shared", "none"
_USER_STATE = "user_state"
_PENDING = 1_000
_CAPPED = frozenset(SHORT.values())


class ReserveAnswers:
    """Answers queries by the cheapest way that is right; one computation per key at a time in this process."""

    def __init__(
        self,
        runner: Runner,
        cache: Cache,
        config: ReservesConfig,
        recommend: RecommendConfig,
        meter: Meter,
        pressure: Pressure | None = None,
    ) -> None:
        """Run what has to be run with `runner`, less of it while `pressure` is high.

        `recommend` is part of what a reserve is kept under.
        """
        self._pressure = pressure or Pressure()
        self._runner, self._config, self._meter = runner, config, meter
        self._near, self._shared = NearReserves(config.memory), SharedReserves(cache)
        self._salt = msgspec.msgpack.encode(recommend)
        self._flights: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def slate(self, world: World, funnel: Funnel, query: Query) -> Slate:
        """Answer a query; raise what the Runner raises."""
        if not self._config.enabled or not keepable(query):
            self._pressure.ease(query)
            return await self._runner.run(funnel, query)
        recorder = self._runner.begin(funnel, query)
        known = await _known(world, funnel, query)
        if known is None:
            # The funnel reads once more and settles by its own policy what becomes of a user who cannot be read.
            return await self._runner.run(funnel, query)
        query.scratch[KNOWN_USER] = known
        request = Request.of(world, funnel, query, recorder, known, self._salt)
        return await self._finished(request) or await self._made(request)

    async def precompute(self, world: World, funnel: Funnel, query: Query) -> Grade:
        """Leave a reserve of a query's user in the shared cache, unless one of all that is known is there: FRESH."""
        recorder = self._runner.begin(funnel, query)
        known = await known_user(world.state, query.user_id, world.partition_of)
        query.scratch[KNOWN_USER] = known
        request = Request.of(world, funnel, query, recorder, known, self._salt)
        kept = await self._shared.find(*request.key, query.received)
        lasts = round(self._config.precomputed_seconds * 1000)
        # One that a server made for itself ends too soon to count.
        lasting = kept is not None and kept.until - query.received > lasts / 2
        if kept is not None and lasting and (kept.version, kept.bundle) == (request.version, funnel.bundle):
            return Grade.FRESH
        await self._runner.ask(funnel, query, recorder)
        ranked = await self._runner.rank(funnel, query, recorder)
        reserve = self._reserve(request, ranked, None)
        if reserve is not None:
            reserve = reserve if query.failures else replace(reserve, until=max(query.received + lasts, reserve.until))
            await self._share(request, reserve)
        return Grade.MISS

    def sweep(self, now: int) -> None:
        """Drop from memory what is past its time at `now` (ms)."""
        self._near.sweep(now)
        self._meter.gauge("reserves_kept", len(self._near))
        self._meter.gauge("reserves_bytes", self._near.size)

    async def drain(self) -> None:
        """Wait for what is on its way into the shared cache."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _finished(self, request: Request) -> Slate | None:
        """Answer from this process's own reserve where it is fresh, having waited for whoever makes it now."""
        deadlines = request.funnel.deadlines
        patience = (deadlines.sources + deadlines.features) / 1000
        while True:
            held = self._near.find(request.key, request.query.received)
            if held is not None and self._grade(held.reserve, request) is Grade.FRESH:
                slate = await self._fresh(request, held, _NEAR)
                if slate is not None:
                    return slate
            flight = self._flights.get(request.key)
            if flight is None or patience <= 0:
                return None
            started = asyncio.get_running_loop().time()
            await asyncio.wait([flight], timeout=patience)
            patience -= asyncio.get_running_loop().time() - started

    async def _made(self, request: Request) -> Slate:
        """Make the answer and the reserve; others who want the same wait meanwhile."""
        leads = request.keeps and request.key not in self._flights
        if not leads:
            return await self._ranked(request)
        flight = self._flights[request.key] = asyncio.get_running_loop().create_future()
        try:
            return await self._ranked(request)
        finally:
            del self._flights[request.key]
            flight.set_result(None)

    async def _ranked(self, request: Request) -> Slate:
        query, funnel, recorder = request.query, request.funnel, request.recorder
        held = self._near.find(request.key, query.received)
        level = _NEAR if held is not None else _SHARED
        reserve = held.reserve if held is not None else await self._shared.find(*request.key, query.received)
        before = set(query.scratch)
        await self._runner.ask(funnel, query, recorder)
        asked = {name: value for name, value in query.scratch.items() if name not in before}
        grade = Grade.MISS if reserve is None else self._grade(reserve, request)
        if reserve is not None and grade is Grade.FRESH and held is None:
            held = self._hold(request, reserve, asked)
            slate = await self._fresh(request, held, _SHARED)
            if slate is not None:
                return slate
        self._pressure.ease(query)
        if reserve is not None and grade is Grade.WARM:
            ranked = await self._runner.score(funnel, query, candidate_set(reserve), recorder)
            if reserve.fills(len(ranked), query.count):
                arranged = self._runner.arrange(funnel, query, ranked, recorder)
                if not _cut_short(query, reserve):
                    self._keep(request, ranked, reserve, asked)
                    self._note(request, Grade.WARM, level, reserve)
                    chosen = self._runner.draw(funnel, query, arranged, recorder)
                    return await self._runner.tell(funnel, query, chosen, recorder)
        ranked = await self._runner.rank(funnel, query, recorder)
        self._keep(request, ranked, None, asked)
        self._note(request, Grade.MISS, _NONE, None)
        return await self._runner.finish(funnel, query, ranked, recorder)

    async def _fresh(self, request: Request, held: Held, level: str) -> Slate | None:
        """Finish a slate from a reserve as it stands; None where the live masks leave too little of it."""
        query, funnel, recorder = request.query, request.funnel, request.recorder
        facts, scratch = query.facts, query.scratch
        query.facts, query.scratch = request.positioned(held.facts), {**scratch, **held.asked}
        arranged = self._arranged(request, held)
        if arranged is None:
            # The masks of this moment are not for later, nor is anything else that was worked out by the way.
            query.facts, query.scratch = facts, scratch
            return None
        query.scratch.update({"strategy": held.reserve.strategy, DECK: arranged.deck})
        query.scratch.update({SHOWN: arranged.shown, WRITTEN: arranged.written})
        query.failures.extend(held.reserve.degraded)
        self._note(request, Grade.FRESH, level, held.reserve)
        chosen = self._runner.draw(funnel, query, arranged.drawn, recorder)
        arranged.deck = query.scratch[DECK]
        await self._explain(request, held, chosen, arranged.candidates)
        return await self._told(request, held, chosen, arranged.candidates)

    def _arranged(self, request: Request, held: Held) -> Arranged | None:
        """Return the rows that the live masks let through in the slate's order; None where they are too few.

        What was worked out before stands while neither masks nor catalogue have changed since.
        """
        world, query, recorder = request.world, request.query, request.recorder
        stamps = tuple([mask.stamp for mask in shared_masks(world, query).values()])
        kept = held.arranged.get(query.count) if request.keeps else None
        if kept is not None and (kept.seq, kept.stamps) == (world.table.seq, stamps):
            query.scratch["degraded"] = [*kept.said]
            return kept
        admitted = self._runner.admit(request.funnel, query, held.reserve.candidates, recorder)
        if not held.reserve.fills(len(admitted), query.count):
            return None
        seq = world.table.seq
        candidates = self._runner.arrange(request.funnel, query, admitted, recorder)
        arranged = Arranged.of(seq, stamps, candidates, query.scratch.get("degraded", ()))
        if _cut_short(query, held.reserve):
            return None
        if request.keeps:
            held.arrange(query.count, arranged)
            self._near.recount(request.key, held)
        return arranged

    async def _explain(self, request: Request, held: Held, chosen: Candidates, arranged: Candidates) -> None:
        """Explain chosen rows that no earlier answer has; from the second answer on, all that may ever be chosen."""
        new = [item for item in chosen.items.tolist() if item not in held.told]
        if not new:
            return
        untold = ~np.isin(arranged.items, list(held.told)) if held.told else np.isin(arranged.items, new)
        rows = arranged.take(untold)
        part = await self._runner.tell(request.funnel, request.query, rows, request.recorder)
        if part.reasons:
            found = zip(part.sources, part.all_sources, part.reasons, strict=True)
            held.told.update(zip(rows.items.tolist(), map(Told._make, found), strict=True))
            self._near.recount(request.key, held)

    async def _told(self, request: Request, held: Held, chosen: Candidates, arranged: Candidates) -> Slate:
        """Return the slate of chosen rows as they were explained before; where that failed, explained anew or not."""
        query = request.query
        told = [held.told[item] for item in chosen.items.tolist() if item in held.told]
        if len(told) < len(chosen):
            return await self._runner.tell(request.funnel, query, _with_all_columns(chosen, arranged), request.recorder)
        return Slate(
            request_id=query.request_id,
            candidates=chosen,
            sources=[each.source for each in told],
            all_sources=[each.sources for each in told],
            reasons=[each.reason for each in told],
            strategy=held.reserve.strategy,
            degraded=degraded_by(query, len(chosen)),
            state_version=query.facts.state_version,
            bundle=request.funnel.bundle,
            trace=request.recorder.finish(str(query.facts.state_version)),
        )

    def _keep(self, request: Request, ranked: Candidates, before: Reserve | None, asked: dict[str, object]) -> None:
        """Keep what was ranked, here and where others find it."""
        reserve = self._reserve(request, ranked, before) if request.keeps else None
        if reserve is None:
            return
        self._hold(request, reserve, asked)
        if len(self._writing) < _PENDING:
            task = asyncio.create_task(self._share(request, reserve))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _share(self, request: Request, reserve: Reserve) -> None:
        """Keep a reserve where others find it, unless its user was forgotten meanwhile."""
        await self._shared.keep(*request.key, reserve, request.query.received)
        # Whoever forgets a user marks that before dropping reserves: one of the two of us sees the other's write.
        if request.user and await _forgotten_since(request):
            await self._shared.drop(request.user)

    def _reserve(self, request: Request, ranked: Candidates, before: Reserve | None) -> Reserve | None:
        """Return the reserve of what was ranked, from the candidates of an older one (`before`) or new ones."""
        query, now = request.query, request.query.received
        if _USER_STATE in query.failures:
            return None
        seconds = self._config.seconds if request.user else self._config.anonymous_seconds
        if query.failures or len(ranked) < query.count:
            seconds = min(seconds, self._config.nothing_seconds)
        until = now + round(seconds * 1000)
        room = request.funnel.room
        fitting = (
            np.arange(query.count)[: len(ranked)] if room is None else room.fitting(query, ranked.items, query.count)
        )
        candidates, whole = cut(ranked, fitting)
        # What a cap left out of one slate, the next may have.
        said = [one for one in query.scratch.get("degraded", ()) if one not in _CAPPED]
        return Reserve(
            version=request.version,
            bundle=request.funnel.bundle,
            made=now if before is None else before.made,
            fresh_until=until if before is None else min(until, before.until),
            until=until if before is None or query.failures else before.until,
            wanted=query.count,
            whole=whole and (before is None or before.whole),
            filled=len(fitting) == query.count,
            strategy=str(query.scratch.get("strategy", "")),
            degraded=tuple(dict.fromkeys([*query.failures, *said])),
            candidates=candidates,
        )

    def _hold(self, request: Request, reserve: Reserve, asked: dict[str, object]) -> Held:
        """Keep a reserve in memory, a user's for `seconds` at most: who is forgotten cannot be dropped here at once."""
        soon = request.query.received + round(self._config.seconds * 1000)
        until = min(soon, reserve.until) if request.user else reserve.until
        held = Held(reserve, request.query.facts, asked, until)
        self._near.keep(request.key, held)
        return held

    def _grade(self, reserve: Reserve, request: Request) -> Grade:
        """Return what a reserve is good for; one that was eased is good for nothing where full answers are given.

        While pressure is high it is: were it not, a server that begins with no reserves would stay under pressure.
        """
        if PRESSURE in reserve.degraded and not self._pressure.high:
            return Grade.MISS
        return reserve.grade(request.version, request.funnel.bundle, request.query.received)

    def _note(self, request: Request, grade: Grade, level: str, reserve: Reserve | None) -> None:
        """Count an answer, and leave in its trace how it came about."""
        query = request.query
        query.scratch[GRADE] = grade
        self._meter.count("reserve_answers", grade=grade, level=level)
        age = {} if reserve is None else {"age": (query.received - reserve.made) / 1000}
        note = StageTrace(stage="reserve", kind="reserve", detail={"grade": grade, "level": level, **age})
        request.recorder.trace.stages.append(note)


def _with_all_columns(chosen: Candidates, arranged: Candidates) -> Candidates:
    """Return drawn rows with what else stands beside them in the arrangement that they were drawn from."""
    places = {item: row for row, item in enumerate(arranged.items.tolist())}
    rows = np.array([places[item] for item in chosen.items.tolist()], np.intp)
    return arranged.take(rows).with_columns(chosen.columns)


async def _known(world: World, funnel: Funnel, query: Query) -> KnownUser | None:
    """Read the user; None where that cannot be done in time."""
    with contextlib.suppress(KindredError, TimeoutError):
        async with asyncio.timeout(funnel.deadlines.facts / 1000):
            return await known_user(world.state, query.user_id, world.partition_of)
    return None


def _cut_short(query: Query, reserve: Reserve) -> bool:
    """Say whether a cap left a slate short of rows which a reserve may lack."""
    return reserve.may_lack(query.count) and not _CAPPED.isdisjoint(query.scratch.get("degraded", ()))


async def _forgotten_since(request: Request) -> bool:
    """Say whether a known user was forgotten since they were read; yes where that cannot be told."""
    record, user = request.known.record, request.user
    try:
        view = await request.world.state.read([erased_key(user)], request.world.partition_of(user))
    except KindredError:
        return True
    (mark,) = view.records
    return mark is not None and record is not None and read_erasure_mark(mark.value)[1] > record.forgotten

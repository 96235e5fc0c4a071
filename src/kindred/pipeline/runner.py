"""Runner: takes a query through a funnel."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query, UserFacts
from kindred.core.slate import Reason, Slate
from kindred.pipeline.checks import (
    StageFault,
    checked_candidates,
    checked_columns,
    checked_mask,
    checked_order,
)
from kindred.pipeline.funnel import Funnel
from kindred.pipeline.recorder import Recorder
from kindred.pipeline.slices import in_slices
from kindred.pipeline.stages import Effect, Filter, Reranker, Scorer, Source
from kindred.pipeline.wave import wave
from kindred.ports.telemetry import Meter, NoMeter

PROPOSED, MERGED, COARSE, RANKED, SLATE = "proposed:", "merged", "coarse", "ranked", "slate"
"""What a recorder is told the candidates of, besides those behind every filter and every stage that orders."""


class Runner:
    """Owns the order of stages, the concurrency and deadline of each wave, checks, top-k, timing and the trace."""

    def __init__(self, meter: Meter | None = None) -> None:
        """Measure into `meter`, or not at all."""
        self._meter = meter or NoMeter()
        self._following: set[asyncio.Task[None]] = set()

    async def run(self, funnel: Funnel, query: Query) -> Slate:
        """Answer a query; raise what a fail-closed stage raised, StageFault when such a stage broke its protocol."""
        recorder = self.begin(funnel, query)
        await self.ask(funnel, query, recorder)
        return await self.finish(funnel, query, await self.rank(funnel, query, recorder), recorder)

    def begin(self, funnel: Funnel, query: Query) -> Recorder:
        """Return the record that all parts of one request share."""
        return Recorder(query, funnel.bundle, self._meter)

    async def ask(self, funnel: Funnel, query: Query, recorder: Recorder) -> None:
        """Fill `query.facts` and `query.scratch` with what is known about the asker."""

        async def one(stage: Any) -> Mapping[str, Any]:
            found: Mapping[str, Any] = await stage.hydrate(query)
            if not isinstance(found.get("facts", query.facts), UserFacts):
                raise StageFault("`facts` must be UserFacts")
            return found

        stages = recorder.enabled(funnel.facts, "facts")
        for values in (await wave(stages, "facts", one, funnel.deadlines.facts, recorder)).values():
            for name, value in values.items():
                if name == "facts":
                    query.facts = value
                else:
                    query.scratch[name] = value

    async def rank(self, funnel: Funnel, query: Query, recorder: Recorder) -> Candidates:
        """Return what the sources propose, scored, best first; the fallbacks are asked where that is too little."""
        found = await self._propose(funnel, funnel.sources, query, recorder)
        ranked = await self.score(funnel, query, _merged(funnel, query, found, recorder), recorder)
        if funnel.fallbacks and not _fills(funnel, query, ranked.items):
            more = await self._propose(funnel, funnel.fallbacks, query, recorder)
            if any(len(part) for part in more.values()):
                ranked = await self.score(funnel, query, _merged(funnel, query, {**found, **more}, recorder), recorder)
        return ranked

    async def score(self, funnel: Funnel, query: Query, found: Candidates, recorder: Recorder) -> Candidates:
        """Return those of a set of candidates that may be shown, scored, best first."""
        candidates = self.admit(funnel, query, found, recorder)
        candidates = self._score(funnel.coarse, "coarse", query, candidates, recorder)
        candidates = _best(funnel, query, candidates, "coarse", query.params.ranked)
        recorder.saw(COARSE, candidates)

        async def one(stage: Any) -> Mapping[str, Floats]:
            columns, _ = checked_columns(await stage.columns(query, candidates), len(candidates))
            return columns

        hydrators = recorder.enabled(funnel.hydrators, "features")
        for columns in (await wave(hydrators, "features", one, funnel.deadlines.features, recorder)).values():
            candidates = candidates.with_columns(columns)
        candidates = self._score(funnel.fine, "fine", query, candidates, recorder)
        candidates = self._filter(funnel.filters, "filter", query, candidates, recorder)
        ranked = _ordered(candidates)
        recorder.saw(RANKED, ranked)
        return ranked

    def admit(self, funnel: Funnel, query: Query, candidates: Candidates, recorder: Recorder) -> Candidates:
        """Return the candidates that every rule of this moment lets through, in their order."""
        return self._filter(funnel.eligibility, "eligibility", query, candidates, recorder)

    async def finish(self, funnel: Funnel, query: Query, ranked: Candidates, recorder: Recorder) -> Slate:
        """Return the slate of candidates that may be shown, best first: reordered, drawn from, and explained."""
        arranged = self.arrange(funnel, query, ranked, recorder)
        return await self.tell(funnel, query, self.draw(funnel, query, arranged, recorder), recorder)

    def arrange(self, funnel: Funnel, query: Query, ranked: Candidates, recorder: Recorder) -> Candidates:
        """Return the candidates in the order of the slate, with what may take their place behind them.

        The same candidates always stand in the same order: nothing is drawn here.
        """
        propensity = np.ones(len(ranked), np.float32)
        return self._order(funnel.rerankers, query, ranked.with_columns({"propensity": propensity}), recorder)

    def draw(self, funnel: Funnel, query: Query, arranged: Candidates, recorder: Recorder) -> Candidates:
        """Return the rows of the slate: drawn where the funnel draws, else the first ones, each with its propensity."""
        draws = [] if funnel.draws is None else [funnel.draws]
        chosen = self._order(draws, query, arranged, recorder)
        chosen = chosen if len(chosen) <= query.count else chosen.take(np.arange(query.count))
        recorder.saw(SLATE, chosen)
        return chosen

    async def tell(self, funnel: Funnel, query: Query, chosen: Candidates, recorder: Recorder) -> Slate:
        """Return the slate of chosen rows, with the sources and the reason of each."""
        proposed = _provenance(chosen, funnel.source_names)
        slate = Slate(
            request_id=query.request_id,
            candidates=chosen,
            sources=_largest_shares(chosen, proposed),
            all_sources=proposed,
            strategy=str(query.scratch.get("strategy", "standard")),
            degraded=degraded_by(query, len(chosen)),
            state_version=query.facts.state_version,
            bundle=funnel.bundle,
        )
        reasons = await self._explain(funnel, query, slate, recorder)
        trace = recorder.finish(str(slate.state_version))
        return replace(slate, reasons=reasons, degraded=degraded_by(query, len(chosen)), trace=trace)

    async def effects(self, funnel: Funnel, answered: Sequence[tuple[Query, Slate]]) -> None:
        """Run what follows responses, the measuring of their stages too; failures are counted, never raised."""
        for _, slate in answered:
            for note in slate.trace.stages if slate.trace else ():
                self._meter.observe("stage_seconds", note.milliseconds / 1000, stage=note.stage, kind=note.kind)
        for effect in funnel.effects:
            notes = []
            async for query, slate in in_slices(answered):
                try:
                    if _takes_part(effect, query):
                        notes.append(effect.note(query, slate))
                except Exception:
                    self._meter.count("stage_failures", stage=effect.name)
            if notes:
                await self._follow(effect, notes, funnel.deadlines.effects / 1000)

    async def drain(self) -> None:
        """Wait for effects that go on though nobody waits for them any more."""
        if self._following:
            await asyncio.wait(set(self._following))

    async def _follow(self, effect: Effect, notes: Sequence[Any], seconds: float) -> None:
        """Run an effect, and wait for it that long; all it was to act on has failed where it fails, even later."""

        def ended(task: asyncio.Task[None]) -> None:
            self._following.discard(task)
            if task.cancelled() or task.exception() is not None:
                self._meter.count("stage_failures", len(notes), stage=effect.name)

        task = asyncio.ensure_future(effect.run(notes))
        self._following.add(task)
        task.add_done_callback(ended)
        try:
            await asyncio.wait([task], timeout=seconds)
        finally:
            if not effect.outlasts:
                task.cancel()

    async def _propose(
        self, funnel: Funnel, sources: Sequence[Source], query: Query, recorder: Recorder
    ) -> dict[str, Candidates]:
        async def one(source: Source) -> Candidates:
            return checked_candidates(await source.propose(query))

        found = await wave(recorder.enabled(sources, "source"), "source", one, funnel.deadlines.sources, recorder)
        for name, part in found.items():
            recorder.saw(f"{PROPOSED}{name}", part)
        return found

    def _filter(
        self, filters: Sequence[Filter], kind: str, query: Query, candidates: Candidates, recorder: Recorder
    ) -> Candidates:
        for stage in recorder.enabled(filters, kind):
            with recorder.stage(stage, kind, len(candidates)) as note:
                mask = checked_mask(stage.keep(query, candidates), len(candidates))
                if not mask.all():
                    if query.want_trace:
                        note.detail["removed"] = candidates.items[~mask][:200].tolist()
                    candidates = candidates.take(mask)
                note.left = len(candidates)
            recorder.saw(stage.name, candidates)
        return candidates

    def _score(
        self, scorers: Sequence[Scorer], kind: str, query: Query, candidates: Candidates, recorder: Recorder
    ) -> Candidates:
        for stage in recorder.enabled(scorers, kind):
            with recorder.stage(stage, kind, len(candidates)) as note:
                columns, missing = checked_columns(stage.score(query, candidates), len(candidates))
                if missing:
                    note.detail["nan"] = missing
                candidates = candidates.with_columns(columns)
        return candidates

    def _order(
        self, stages: Sequence[Reranker], query: Query, candidates: Candidates, recorder: Recorder
    ) -> Candidates:
        for stage in recorder.enabled(stages, "rerank"):
            with recorder.stage(stage, "rerank", len(candidates)) as note:
                order = checked_order(stage.order(query, candidates), len(candidates))
                note.detail.update(order.detail)
                propensity = candidates.columns["propensity"][order.index] * order.propensity
                candidates = candidates.take(order.index).with_columns({**order.columns, "propensity": propensity})
                note.left = len(candidates)
            recorder.saw(stage.name, candidates)
        return candidates

    async def _explain(self, funnel: Funnel, query: Query, slate: Slate, recorder: Recorder) -> list[Reason]:
        if funnel.explainer is None or not len(slate.candidates):
            return []
        explained: list[Reason] = []
        for stage in recorder.enabled([funnel.explainer], "explain"):
            with recorder.stage(stage, "explain", len(slate.candidates)):
                async with asyncio.timeout(funnel.deadlines.reasons / 1000):
                    reasons = await stage.explain(query, slate)
                if len(reasons) != len(slate.candidates):
                    raise StageFault(f"{len(reasons)} reasons for {len(slate.candidates)} items")
                explained = reasons
        return explained


def _takes_part(effect: Effect, query: Query) -> bool:
    return effect.name not in query.params.disabled and effect.enabled(query)


def _merged(funnel: Funnel, query: Query, found: Mapping[str, Candidates], recorder: Recorder) -> Candidates:
    bits = {source.name: bit for bit, source in enumerate([*funnel.sources, *funnel.fallbacks])}
    merged = Candidates.merge(list(found.values()), [bits[name] for name in found])
    kept = _best(funnel, query, merged, "best_rank", query.params.candidates, ascending=True)
    recorder.saw(MERGED, kept)
    return kept


def _fills(funnel: Funnel, query: Query, items: Ordinals) -> bool:
    """Say whether items (n,), best first, are enough for a whole slate."""
    if len(items) < query.count or funnel.room is None:
        return len(items) >= query.count
    return len(funnel.room.fitting(query, items, query.count)) == query.count


def _best(
    funnel: Funnel, query: Query, candidates: Candidates, column: str, k: int, ascending: bool = False
) -> Candidates:
    """Keep the k best rows where they stand; ordinals ascend before anything is ordered, so ties are cut by ordinal.

    Where no slate could be filled from the k best, the best that fill one are kept before others. Rows without a value
    are dropped when the column is there.
    """
    k = max(k, query.count)
    values = candidates.columns.get(column)
    if values is None:
        return candidates if len(candidates) <= k else candidates.take(np.arange(k))
    missing = np.isnan(values)
    if len(candidates) <= k and not missing.any():
        return candidates
    rows = np.flatnonzero(~missing)
    rows = rows[np.argsort(values[rows] if ascending else -values[rows], kind="stable")]
    if len(rows) > k and funnel.room is not None and not _fills(funnel, query, candidates.items[rows[:k]]):
        fitting = funnel.room.fitting(query, candidates.items[rows], query.count)
        rows = np.concatenate([rows[fitting], np.delete(rows, fitting)])
    return candidates.take(np.sort(rows[:k]))


def _ordered(candidates: Candidates) -> Candidates:
    """Return the rows that have a score, best first, ties by ordinal."""
    scores = candidates.columns.get("score")
    if scores is None:
        return candidates
    rows = np.flatnonzero(~np.isnan(scores))
    return candidates.take(rows[np.lexsort((candidates.items[rows], -scores[rows]))])


def _provenance(chosen: Candidates, names: Sequence[str]) -> list[tuple[str, ...]]:
    bits = np.zeros(len(chosen), np.uint32) if chosen.provenance is None else chosen.provenance
    kinds = {b: tuple(name for s, name in enumerate(names) if b >> s & 1) for b in set(bits.tolist())}
    return [kinds[b] for b in bits.tolist()]


def _largest_shares(chosen: Candidates, proposed: Sequence[tuple[str, ...]]) -> list[str]:
    """Return for each item which of its sources has the largest share of its score (columns `share.<source>`)."""
    shares = {
        name: np.where(np.isnan(column), 0.0, column).tolist()
        for name in {name for names in proposed for name in names}
        if (column := chosen.columns.get(f"share.{name}")) is not None
    }
    none = [0.0] * len(chosen)
    found = []
    for row, names in enumerate(proposed):
        parts = [shares.get(name, none)[row] for name in names]
        found.append(names[parts.index(max(parts))] if names else "")
    return found


def degraded_by(query: Query, shown: int) -> list[str]:
    """Return what a slate of `shown` items lacks: the stages that failed, what they said, and whether it is short."""
    said = list(dict.fromkeys([*query.failures, *query.scratch.get("degraded", ())]))
    # A stage that knows why there are fewer has said so itself.
    explained = shown >= query.count or any(one.startswith("under_filled") for one in said)
    return said if explained else [*said, "under_filled"]

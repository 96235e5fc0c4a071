"""Runner: takes a query through a funnel."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from kindred.core.candidates import Candidates, Floats
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
from kindred.pipeline.stages import Filter, Scorer, Source, Stage
from kindred.ports.telemetry import Meter, NoMeter

S = TypeVar("S", bound=Stage)
R = TypeVar("R")


class Runner:
    """Owns the order of stages, the concurrency and deadline of each wave, checks, top-k, timing and the trace."""

    def __init__(self, meter: Meter | None = None) -> None:
        """Measure into `meter`, or not at all."""
        self._meter = meter or NoMeter()

    async def run(self, funnel: Funnel, query: Query) -> Slate:
        """Answer a query; raise what a fail-closed stage raised, StageFault when such a stage broke its protocol."""
        recorder = Recorder(query, funnel.bundle, self._meter)
        await self._facts(funnel, query, recorder)
        found = await self._propose(funnel, funnel.sources, query, recorder)
        ranked = await self._rank(funnel, query, found, recorder)
        if len(ranked) < query.count and funnel.fallbacks:
            more = await self._propose(funnel, [*funnel.sources, *funnel.fallbacks], query, recorder)
            ranked = await self._rank(funnel, query, more, recorder)
        chosen = self._order(funnel, query, ranked, recorder)
        return await self._slate(funnel, query, chosen, recorder)

    async def effects(self, funnel: Funnel, query: Query, slate: Slate) -> None:
        """Run what follows the response; failures are counted, never raised."""
        for effect in _enabled(funnel.effects, query):
            try:
                await asyncio.wait_for(effect.run(query, slate), funnel.deadlines.effects / 1000)
            except Exception:
                self._meter.count("stage_failures", stage=effect.name)

    async def _facts(self, funnel: Funnel, query: Query, recorder: Recorder) -> None:
        async def one(stage: Any) -> Mapping[str, Any]:
            found: Mapping[str, Any] = await stage.hydrate(query)
            return found

        stages = _enabled(funnel.facts, query)
        for values in (await _wave(stages, "facts", one, funnel.deadlines.facts, recorder)).values():
            for name, value in values.items():
                if name == "facts" and isinstance(value, UserFacts):
                    query.facts = value
                else:
                    query.scratch[name] = value

    async def _propose(self, funnel: Funnel, sources: Sequence[Source], query: Query, recorder: Recorder) -> Candidates:
        async def one(source: Source) -> Candidates:
            return checked_candidates(await source.propose(query))

        found = await _wave(_enabled(sources, query), "source", one, funnel.deadlines.sources, recorder)
        bits = {source.name: bit for bit, source in enumerate([*funnel.sources, *funnel.fallbacks])}
        merged = Candidates.merge(list(found.values()), [bits[name] for name in found])
        return _top(merged, "best_rank", query.params.candidates, ascending=True)

    async def _rank(self, funnel: Funnel, query: Query, found: Candidates, recorder: Recorder) -> Candidates:
        candidates = self._filter(funnel.eligibility, "eligibility", query, found, recorder)
        candidates = self._score(funnel.coarse, "coarse", query, candidates, recorder)
        candidates = _top(candidates, "coarse", query.params.ranked)

        async def one(stage: Any) -> Mapping[str, Floats]:
            columns, _ = checked_columns(await stage.columns(query, candidates), len(candidates))
            return columns

        hydrators = _enabled(funnel.hydrators, query)
        for columns in (await _wave(hydrators, "features", one, funnel.deadlines.features, recorder)).values():
            candidates = candidates.with_columns(columns)
        candidates = self._score(funnel.fine, "fine", query, candidates, recorder)
        candidates = self._filter(funnel.filters, "filter", query, candidates, recorder)
        return _top(candidates, "score", len(candidates))

    def _filter(
        self, filters: Sequence[Filter], kind: str, query: Query, candidates: Candidates, recorder: Recorder
    ) -> Candidates:
        for stage in _enabled(filters, query):
            with recorder.stage(stage, kind, len(candidates)) as note:
                mask = checked_mask(stage.keep(query, candidates), len(candidates))
                if not mask.all():
                    if query.want_trace:
                        note.detail["removed"] = candidates.items[~mask][:200].tolist()
                    candidates = candidates.take(mask)
                note.left = len(candidates)
        return candidates

    def _score(
        self, scorers: Sequence[Scorer], kind: str, query: Query, candidates: Candidates, recorder: Recorder
    ) -> Candidates:
        for stage in _enabled(scorers, query):
            with recorder.stage(stage, kind, len(candidates)) as note:
                columns, missing = checked_columns(stage.score(query, candidates), len(candidates))
                if missing:
                    note.detail["nan"] = missing
                candidates = candidates.with_columns(columns)
        return candidates

    def _order(self, funnel: Funnel, query: Query, candidates: Candidates, recorder: Recorder) -> Candidates:
        propensity = np.ones(len(candidates), np.float32)
        for stage in _enabled(funnel.rerankers, query):
            with recorder.stage(stage, "rerank", len(candidates)) as note:
                order = checked_order(stage.order(query, candidates), len(candidates))
                note.detail.update(order.detail)
                candidates = candidates.take(order.index)
                propensity = propensity[order.index] * order.propensity
                note.left = len(candidates)
        return candidates.with_columns({"propensity": propensity}).take(np.arange(min(query.count, len(candidates))))

    async def _slate(self, funnel: Funnel, query: Query, chosen: Candidates, recorder: Recorder) -> Slate:
        names = [source.name for source in (*funnel.sources, *funnel.fallbacks)]
        proposed = _provenance(chosen, names)
        slate = Slate(
            request_id=query.request_id,
            candidates=chosen,
            sources=_largest_shares(chosen, proposed),
            all_sources=proposed,
            strategy=str(query.scratch.get("strategy", "standard")),
            degraded=_degraded(query, len(chosen)),
            state_version=query.facts.state_version,
            bundle=funnel.bundle,
        )
        reasons: list[Reason] = []
        explainer = funnel.explainer
        if explainer is not None and len(chosen) and explainer.enabled(query):
            with recorder.stage(explainer, "explain", len(chosen)):
                reasons = await explainer.explain(query, slate)
                if len(reasons) != len(chosen):
                    raise StageFault(f"{len(reasons)} reasons for {len(chosen)} items")
            slate = replace(slate, degraded=_degraded(query, len(chosen)))
        trace = recorder.finish()
        trace.state_version = str(slate.state_version)
        return replace(slate, reasons=reasons, trace=trace)


def _enabled(stages: Sequence[S], query: Query) -> list[S]:
    return [s for s in stages if s.name not in query.params.disabled and s.enabled(query)]


async def _wave(
    stages: Sequence[S],
    kind: str,
    run: Callable[[S], Awaitable[R]],
    deadline: float,
    recorder: Recorder,
) -> dict[str, R]:
    """Run stages at once and return what came by the deadline (milliseconds), by stage name in the stages' order."""
    found: dict[str, R] = {}

    async def one(stage: S) -> None:
        with recorder.stage(stage, kind) as note:
            found[stage.name] = value = await run(stage)
            if isinstance(value, Candidates):
                note.left = len(value)
                if recorder.query.want_trace:
                    note.detail["proposed"] = value.items[:200].tolist()

    tasks = {asyncio.create_task(one(stage)): stage for stage in stages}
    if not tasks:
        return {}
    done, pending = await asyncio.wait(tasks, timeout=deadline / 1000)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()
    for task in pending:
        recorder.late(tasks[task], kind, deadline)
    return {stage.name: found[stage.name] for stage in stages if stage.name in found}


def _top(candidates: Candidates, column: str, k: int, ascending: bool = False) -> Candidates:
    """Return the k best rows in order, ties by ordinal; rows without a value are dropped when a column is there."""
    values = candidates.columns.get(column)
    if values is None:
        return candidates.take(np.arange(min(k, len(candidates))))
    signed = values if ascending else -values
    rows = np.flatnonzero(~np.isnan(signed))
    best = np.lexsort((candidates.items[rows], signed[rows]))[:k]
    return candidates.take(rows[best])


def _provenance(chosen: Candidates, names: Sequence[str]) -> list[tuple[str, ...]]:
    bits = np.zeros(len(chosen), np.uint32) if chosen.provenance is None else chosen.provenance
    return [tuple(name for s, name in enumerate(names) if int(b) >> s & 1) for b in bits]


def _largest_shares(chosen: Candidates, proposed: Sequence[tuple[str, ...]]) -> list[str]:
    """Return for each item which of its sources has the largest share of its score (columns `share.<source>`)."""
    found = []
    for row, names in enumerate(proposed):
        shares = [float(np.nan_to_num(chosen.column(f"share.{name}", 0.0)[row])) for name in names]
        found.append(names[int(np.argmax(shares))] if names else "")
    return found


def _degraded(query: Query, shown: int) -> list[str]:
    said = list(dict.fromkeys([*query.failures, *query.scratch.get("degraded", ())]))
    return [*said, "under_filled"] if shown < query.count else said

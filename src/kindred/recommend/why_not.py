"""Why an item is not in an answer: what every stage of the request did with it."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.query import Query
from kindred.core.trace import ItemTrace
from kindred.pipeline.funnel import Funnel
from kindred.pipeline.recorder import Recorder, Watching
from kindred.pipeline.runner import COARSE, MERGED, PROPOSED, RANKED, SLATE, Runner
from kindred.ports.telemetry import NoMeter
from kindred.recommend.explainers.moved import moved, rounded
from kindred.recommend.filters.rules import RULES, keeps
from kindred.recommend.rerankers.constraints import caps_of
from kindred.recommend.world import World

Outcome = Literal["shown", "filtered", "never_proposed", "cut", "outranked"]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A source that proposed the item: at which place, counted from 1, among how many."""

    source: str
    place: int
    of: int


class WhyNot(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item in one request.

    `outcome`: `shown`; `filtered`, by the rules of `filtered_by`; `never_proposed` by any source; `cut` after the
    stage `cut_after`, which keeps the best only; `outranked`: it was ranked, and others took the slots. `slot`: its
    own in the answer, from 1. `place` among the `ranked` candidates, best first, from 1; of an item that was never
    proposed, where it would have come had it been. `lowest_shown`: the lowest score in the answer. `why`: its parts
    and features. `asked_sources`: how many each source proposed. `placements_version`: the stored version of the
    placements that the request was asked under, 0 = the settings alone. `exact`: whether all of it is as when the
    request was answered, with the `cause` where it is not.
    """

    request_id: str
    item_id: str
    outcome: Outcome
    said: str
    bundle: str
    state_version: str
    slot: int | None = None
    filtered_by: list[str] = []
    proposed_by: list[Proposal] = []
    asked_sources: dict[str, int] = {}
    cut_after: str | None = None
    place: int | None = None
    ranked: int = 0
    score: float | None = None
    lowest_shown: float | None = None
    why: ItemTrace | None = None
    exact: bool = True
    cause: str | None = None
    placements_version: int = 0


async def watch(runner: Runner, funnel: Funnel, query: Query) -> Watching:
    """Run a query through a funnel without explaining its slate; return the candidates behind every step."""
    watching = Watching(query, funnel.bundle, NoMeter())
    await runner.ask(funnel, query, watching)
    ranked = await runner.rank(funnel, query, watching)
    runner.draw(funnel, query, runner.arrange(funnel, query, ranked, watching), watching)
    return watching


async def why_not(runner: Runner, world: World, funnel: Funnel, watching: Watching, item: int, item_id: str) -> WhyNot:
    """Say what became of the item with ordinal `item` in a request that was watched."""
    query, steps = watching.query, watching.steps
    shown, ranked = _last(steps, SLATE), _last(steps, RANKED)
    proposed = [(step.removeprefix(PROPOSED), part) for step, part in steps if step.startswith(PROPOSED)]
    by = [
        Proposal(source=name, place=place + 1, of=len(part))
        for name, part in proposed
        if (place := _place(part, item)) is not None
    ]
    slot, place = _place(shown, item), _place(ranked, item)
    barred = [name for name in RULES if not keeps(world, query, name, np.array([item], np.int32))[0]]
    pool, cut_after = ranked, None
    outcome: Outcome
    if slot is not None:
        outcome = "shown"
    elif barred:
        outcome = "filtered"
    elif not by:
        outcome, pool = "never_proposed", await _had_it_been(runner, funnel, query, steps, item)
        place = _place(pool, item)
    elif place is None:
        outcome, cut_after = _cut(steps, item)
        barred = [cut_after] if outcome == "filtered" else []
    else:
        outcome = "outranked"
    row = _place(pool, item)
    why = None if row is None else moved(world, pool.take(np.array([row], np.intp)), [[one.source for one in by]])[0]
    scores = shown.column("score")
    return WhyNot(
        request_id=query.request_id,
        item_id=item_id,
        outcome=outcome,
        said=_said(outcome, slot, barred, cut_after, place, len(pool), world, query),
        bundle=funnel.bundle,
        state_version=str(query.facts.state_version),
        slot=None if slot is None else slot + 1,
        filtered_by=barred,
        proposed_by=by,
        asked_sources={name: len(part) for name, part in proposed},
        cut_after=cut_after if outcome == "cut" else None,
        place=None if place is None else place + 1,
        ranked=len(pool),
        score=None if why is None else why.score,
        lowest_shown=rounded(float(np.nanmin(scores))) if np.isfinite(scores).any() else None,
        why=why,
        placements_version=query.placements_version,
    )


async def _had_it_been(
    runner: Runner, funnel: Funnel, query: Query, steps: Sequence[tuple[str, Candidates]], item: int
) -> Candidates:
    """Return what would have been ranked had a source proposed the item first."""
    alone = Candidates(np.array([item], np.int32), {}, np.zeros(1, np.uint32))
    merged = _last(steps, MERGED)
    joined = Candidates.merge([merged, alone], [0, 0])
    bits = np.zeros(len(joined), np.uint32)
    if merged.provenance is not None:
        bits[joined.items != item] = merged.provenance
    recorder = Recorder(query, funnel.bundle, NoMeter())
    return await runner.score(funnel, query, Candidates(joined.items, joined.columns, bits), recorder)


def _cut(steps: Sequence[tuple[str, Candidates]], item: int) -> tuple[Outcome, str]:
    """Return after which step a proposed item was gone, and whether that step keeps the best or filters."""
    behind = [(step, part) for step, part in steps if not step.startswith(PROPOSED)]
    last = max((place for place, (_, part) in enumerate(behind) if _place(part, item) is not None), default=-1)
    gone = behind[last + 1][0]
    return ("cut" if gone in (MERGED, COARSE, RANKED) else "filtered"), gone


def _said(
    outcome: Outcome,
    slot: int | None,
    barred: Sequence[str],
    cut_after: str | None,
    place: int | None,
    of: int,
    world: World,
    query: Query,
) -> str:
    if outcome == "shown":
        return f"It is in the answer, in slot {(slot or 0) + 1}."
    if outcome == "filtered":
        return f"It may not be shown: {', '.join(barred)}."
    if outcome == "never_proposed":
        depth = f"each source proposes at most {world.config.source_depth}"
        if place is None:
            return f"No source proposed it ({depth}); had one, it would not have come past the coarse ranking."
        return f"No source proposed it ({depth}); had one, it would have come to place {place + 1} of {of}."
    if outcome == "cut":
        kept = query.params.candidates if cut_after == MERGED else query.params.ranked
        # Under a cap the best of other categories come before the best of one that is full.
        first = (
            ", and before them what fills a slate under its caps"
            if caps_of(world, query, np.empty(0, np.int32))
            else ""
        )
        return f"It was proposed, and {cut_after} keeps the best {kept}{first}: it was not among them."
    return f"It was ranked {(place or 0) + 1} of {of}; the {query.count} slots went to others."


def _last(steps: Sequence[tuple[str, Candidates]], name: str) -> Candidates:
    return next((part for step, part in reversed(steps) if step == name), Candidates.empty())


def _place(candidates: Candidates, item: int) -> int | None:
    rows = np.flatnonzero(candidates.items == item)
    return int(rows[0]) if len(rows) else None

"""Answers given before, worked out again: their traces, and why an item is not among them."""

import msgspec

from kindred.core.candidates import Candidates
from kindred.core.clock import DAY
from kindred.core.errors import Gone, NotFound
from kindred.core.ids import id_time
from kindred.core.query import Query
from kindred.core.trace import Trace
from kindred.features.users import preference_version
from kindred.pipeline.funnel import Funnel
from kindred.pipeline.runner import SLATE, Runner
from kindred.ports.operations import TraceStore
from kindred.recommend.effects.replay import ReplayRecord, decode_replay, digest_of
from kindred.recommend.explainers.moved import moved
from kindred.recommend.placement_rules import rules_hash
from kindred.recommend.reserves.reserve import Grade
from kindred.recommend.why_not import WhyNot, watch, why_not
from kindred.recommend.world import World

_KEPT = (Grade.FRESH, Grade.WARM)


async def read_record(traces: TraceStore, request_id: str, now: int) -> ReplayRecord:
    """Return what is kept of a request; raise NotFound for an id never seen, Gone when it is past its day."""
    data = await traces.get(request_id)
    if data is None:
        made = id_time(request_id)
        if made is not None and made < now - DAY:
            raise Gone(f"request {request_id!r} is older than 24 hours")
        raise NotFound(f"no request {request_id!r} in the last 24 hours")
    record = decode_replay(data)
    if record.received < now - DAY:
        raise Gone(f"request {request_id!r} is older than 24 hours")
    return record


async def trace_again(runner: Runner, world: World, funnel: Funnel, query: Query, record: ReplayRecord) -> Trace:
    """Return what the stages of a recorded request do now, marked as exact or not."""
    slate = await runner.run(funnel, query)
    trace = slate.trace or Trace(request_id=query.request_id)
    trace.items = moved(world, slate.candidates, slate.all_sources)
    trace.cause = _changed(world, query, record, slate.candidates)
    trace.exact = trace.cause is None
    return trace


async def why_not_again(
    runner: Runner, world: World, funnel: Funnel, query: Query, record: ReplayRecord, item_id: str
) -> WhyNot:
    """Return what becomes of an item in a recorded request now; raise NotFound where the catalogue never had it."""
    (known,) = await world.catalog.get([item_id])
    if known is None:
        raise NotFound(f"no item {item_id!r} in the catalogue")
    watching = await watch(runner, funnel, query)
    found = await why_not(runner, world, funnel, watching, known.ordinal, item_id)
    shown = next(part for step, part in reversed(watching.steps) if step == SLATE)
    cause = _changed(world, query, record, shown)
    return msgspec.structs.replace(found, exact=cause is None, cause=cause)


def _changed(world: World, query: Query, record: ReplayRecord, shown: Candidates) -> str | None:
    """Say why what is worked out now is not what was answered, or not from the same; None where it is.

    `query` has been answered: it holds the user as read.
    """
    causes = []
    if world.models.version != record.bundle:
        causes.append(f"bundle {record.bundle} is not kept any more: this is from bundle {world.models.version}")
    if preference_version(query.scratch.get("record")) != record.preference:
        causes.append("more is known of the user since")
    if rules_hash(query.params.rules) != record.rules:
        causes.append("the placement's rules of then are not known any more")
    if world.table.seq != record.catalogue:
        causes.append("the catalogue has changed since")
    if digest_of(shown) != record.digest:
        if record.grade in _KEPT:
            causes.append(f"the answer was made {record.grade} from a reserve")
        if record.degraded:
            causes.append(f"the answer was degraded: {', '.join(record.degraded)}")
        if not causes:
            causes.append("what trends, or how often items are shown and used, has changed since")
    return "; ".join(causes) or None

"""Replay records: enough of every request to answer it again, kept for a day."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import xxhash

from kindred.core.candidates import Candidates
from kindred.core.query import Context, Filters, Params, Query, SearchTerms
from kindred.core.rng import seed_of
from kindred.core.rules import Rule
from kindred.core.slate import Slate
from kindred.core.trace import Trace
from kindred.features.users import preference_version
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.placement_rules import rules_hash
from kindred.recommend.reserves.reserve import GRADE

CATALOGUE = "catalogue_seq"
"""Under this name a query's scratch holds the place in the catalogue's feed that it began at."""
_ASKED = (
    "user_id",
    "placement",
    "placements_version",
    "count",
    "seed",
    "received",
    "context",
    "filters",
    "params",
    "search",
)


class ReplayRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request as it was asked and answered; `trace` is there where it was asked for or sampled; `grade`:
    how reserves had a part in it.

    `shown` is what it answered, `before` what stood on earlier pages or in rows above. `preference`: the user's
    preference version; `catalogue`: the place in the catalogue's feed that the server had come to; `digest`: of
    what was answered, with scores; `degraded`: what it was made without; `placements_version`: as in the query;
    `rules`: a hash of those of the placement, which `params` is without: the version has them.
    """

    user_id: str
    placement: str
    count: int
    seed: int
    received: int
    context: Context
    filters: Filters
    params: Params
    bundle: str
    state_version: str
    user_version: str
    shown: list[int]
    search: SearchTerms | None = None
    before: tuple[int, ...] = ()
    trace: Trace | None = None
    grade: str = ""
    preference: int = 0
    catalogue: int = 0
    digest: int = 0
    degraded: list[str] = []
    placements_version: int = 0
    rules: int = 0


_encode = msgspec.msgpack.Encoder().encode


def encode_replay(record: ReplayRecord) -> bytes:
    """Write a record as MessagePack."""
    return _encode(record)


def decode_replay(data: bytes) -> ReplayRecord:
    """Read a record."""
    return msgspec.msgpack.decode(data, type=ReplayRecord)


def digest_of(shown: Candidates) -> int:
    """Return a hash of items in their order and their scores."""
    digest = xxhash.xxh3_64(np.ascontiguousarray(shown.items, "<i4").tobytes())
    digest.update(np.ascontiguousarray(shown.column("score", 0.0), "<f4").tobytes())
    return digest.intdigest()


def replay_query(record: ReplayRecord, request_id: str, rules: tuple[Rule, ...] = ()) -> Query:
    """Return the query that the record answers, under the placement's `rules`, with its full trace wanted."""
    values: dict[str, Any] = {name: getattr(record, name) for name in _ASKED}
    values["params"] = msgspec.structs.replace(record.params, rules=rules)
    return Query(request_id=request_id, want_trace=True, shown=record.before, **values)


@dataclass(frozen=True, slots=True)
class ReplayLog:
    """Keeps a replay record per request, with the trace where it was asked for or falls into the sample."""

    keep: Callable[[Sequence[tuple[str, int, bytes]]], Awaitable[object]]
    share: float
    name: str = "replay_log"
    policy: FailPolicy = FailPolicy.OPEN
    outlasts: bool = False

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def note(self, query: Query, slate: Slate) -> tuple[str, int, bytes]:
        """Return the record of an answer, under its id and moment."""
        return query.request_id, query.received, encode_replay(self._record(query, slate))

    async def run(self, notes: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep the records."""
        await self.keep(notes)

    def _record(self, query: Query, slate: Slate) -> ReplayRecord:
        sampled = query.want_trace or seed_of("trace", query.request_id) % 10_000 < self.share * 10_000
        return ReplayRecord(
            user_id=query.user_id,
            placement=query.placement,
            count=query.count,
            seed=query.seed,
            received=query.received,
            context=query.context,
            filters=query.filters,
            params=msgspec.structs.replace(query.params, rules=()) if query.params.rules else query.params,
            search=query.search,
            bundle=slate.bundle,
            state_version=str(slate.state_version),
            user_version=str(query.facts.version),
            shown=slate.candidates.items.tolist(),
            before=query.shown,
            trace=slate.trace if sampled else None,
            grade=str(query.scratch.get(GRADE, "")),
            preference=preference_version(query.scratch.get("record")),
            catalogue=query.scratch.get(CATALOGUE, 0),
            digest=digest_of(slate.candidates),
            degraded=slate.degraded,
            placements_version=query.placements_version,
            rules=rules_hash(query.params.rules),
        )

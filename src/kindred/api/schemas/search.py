"""Body and answer of `POST /api/v1/search`."""

from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta

from kindred.api.decoding import Faults
from kindred.api.schemas.fields import Id, check_text
from kindred.api.schemas.recommendation import (
    RecommendationRequest,
    RecommendedItem,
    RequestContext,
    RequestFilters,
    Share,
    to_ask,
)
from kindred.core.trace import Trace
from kindred.recommend.ask import SearchAsk

PLACEMENT = "search"
MOST_OFFSET = 900
"""Results that a search passes over at most."""
_NOBODY = "nobody"


class SearchFilters(RequestFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every result must satisfy; what the user has seen already is found too, unless `exclude_seen`."""

    exclude_seen: bool = False


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search; without `user_id`, or for an unknown user, the order is the same for everyone."""

    query: Annotated[str, Meta(min_length=1, max_length=256, description="words; there is no syntax")]
    user_id: Id | None = None
    context: RequestContext = RequestContext()
    filters: SearchFilters = SearchFilters()
    count: Annotated[int, Meta(ge=1, le=100)] = 20
    offset: Annotated[int, Meta(ge=0, le=MOST_OFFSET, description="results to pass over")] = 0
    personalisation: Annotated[Share, Meta(description="how much the user's taste moves results")] | None = None
    prefetch: Annotated[bool, Meta(description="the answer is not an exposure")] = False
    trace: Annotated[bool, Meta(description="include the decision trace; needs the admin scope")] = False


class SearchResult(RecommendedItem, frozen=True, kw_only=True):
    """One result; `text_score` is how well it has the words: above 0.5 all of them, 0 none."""

    text_score: float


class SearchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Results, the versions they were made from, and what failed open; `next_offset` is there where more may follow."""

    results: list[SearchResult]
    request_id: str
    model_version: str
    state_version: str
    strategy: str
    degraded: list[str]
    next_offset: int | None
    took_ms: float
    trace: Trace | None = None


def to_search(body: SearchRequest) -> SearchAsk:
    """Read a body into a search; raise InvalidInput for bad ids and for a query without text."""
    faults = Faults()
    text = check_text(body.query, "/query", faults)
    if not text.strip():
        faults.add("/query", "must hold at least one word")
    faults.done()
    ask = to_ask(
        RecommendationRequest(
            user_id=_NOBODY if body.user_id is None else body.user_id,
            context=body.context,
            filters=body.filters,
            count=body.count,
            placement=PLACEMENT,
            prefetch=body.prefetch,
            trace=body.trace,
        )
    )
    if body.user_id is None:
        ask = replace(ask, user_id="")
    return SearchAsk(ask, text, body.offset, body.personalisation)

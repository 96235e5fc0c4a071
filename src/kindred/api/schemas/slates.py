"""Bodies and answers of many slates in one call: for many users, or for the rows of one page."""

from typing import Annotated

import msgspec
from msgspec import Meta

from kindred.api.problems import Problem
from kindred.api.schemas.fields import Id, Name
from kindred.api.schemas.recommendation import (
    Boosts,
    RecommendationRequest,
    RecommendationResponse,
    RequestContext,
    RequestFilters,
    ReturnFields,
    Share,
)

MOST_REQUESTS, MOST_ROWS = 100, 20
"""Questions that one batch may hold, and rows of one page."""


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one element: its answer, or the problem that the call alone would have had."""

    status: int
    answer: RecommendationResponse | None = None
    problem: Problem | None = None


class BatchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One result per element, in order."""

    results: list[BatchAnswer]


class RowRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of a page; `title` comes back with it."""

    title: Annotated[str, Meta(max_length=256)] | None = None
    placement: Name | None = None
    filters: RequestFilters = RequestFilters()
    count: Annotated[int, Meta(ge=1, le=100)] = 20
    boosts: Boosts = ()
    diversity: Share | None = None
    exploration: Share | None = None


class PageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question for several rows, the most important first: no item stands in two of them."""

    user_id: Id
    rows: Annotated[tuple[RowRequest, ...], Meta(min_length=1, max_length=MOST_ROWS)]
    context: RequestContext = RequestContext()
    return_fields: ReturnFields | None = None
    prefetch: Annotated[bool, Meta(description="the answer is not an exposure")] = False
    trace: Annotated[bool, Meta(description="include the decision traces; needs the admin scope")] = False


class Row(RecommendationResponse, frozen=True, kw_only=True):
    """One row: an answer of its own, with its own `request_id`; `next_page_token` goes on with this row alone."""

    title: str | None
    placement: str


class PageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The rows, in the order in which they were asked for."""

    rows: list[Row]
    took_ms: float


def row_request(page: PageRequest, row: RowRequest) -> RecommendationRequest:
    """Return the question for one row of a page."""
    return RecommendationRequest(
        user_id=page.user_id,
        context=page.context,
        placement=row.placement,
        filters=row.filters,
        count=row.count,
        boosts=row.boosts,
        diversity=row.diversity,
        exploration=row.exploration,
        prefetch=page.prefetch,
        trace=page.trace,
    )

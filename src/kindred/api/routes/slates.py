"""Many slates in one call: for many users, or for the rows of one page."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody

from kindred.api.access import described, require_admin
from kindred.api.bodies import BATCH_LIMIT, SINGLE_LIMIT, TOGETHER, Batch, BatchBody, Element, StrictBody
from kindred.api.platform import Injected, Platform
from kindred.api.problems import problem, unforeseen
from kindred.api.routes.answers import answered
from kindred.api.routes.tracking import Tracking
from kindred.api.schemas.recommendation import RecommendationRequest, to_ask
from kindred.api.schemas.slates import (
    MOST_REQUESTS,
    BatchAnswer,
    BatchResponse,
    PageRequest,
    PageResponse,
    Row,
    row_request,
)
from kindred.api.tokens import READ
from kindred.core.errors import InvalidInput, KindredError
from kindred.recommend.ask import Served

_SHARED = ("/user_id", "/context")
"""What the rows of a page have in common."""


class SlatesBody(BatchBody[Batch[RecommendationRequest]]):
    """Reads questions, each alone."""

    field = "requests"
    most = MOST_REQUESTS


@post(
    "/api/v1/recommendations/batch",
    dto=SlatesBody,
    return_dto=None,
    status_code=200,
    request_max_body_size=BATCH_LIMIT,
    **described(READ, "answers", 413),
)
async def recommendations_batch(
    data: JSONBody[Batch[RecommendationRequest]], platform: Injected, tracker: Tracking, request: Request[Any, Any, Any]
) -> BatchResponse:
    """Answer up to 100 questions, such as for 100 users; a bad one never loses its neighbours."""
    # The call itself was counted when it was let in.
    tracker.limit.charge(request.state["token"].token_id, len(data) - 1)
    room = asyncio.Semaphore(TOGETHER)

    async def one(element: Element[RecommendationRequest]) -> BatchAnswer:
        async with room:
            return await _result(element, platform, request)

    return BatchResponse(results=list(await asyncio.gather(*map(one, data.elements))))


async def _result(
    element: Element[RecommendationRequest], platform: Platform, request: Request[Any, Any, Any]
) -> BatchAnswer:
    try:
        if element.value is None:
            raise element.error or InvalidInput.at(element.pointer, "cannot be read")
        if element.value.trace:
            require_admin(request)
        served = await _served(element.value, platform, element.pointer)
    except KindredError as error:
        return BatchAnswer(status=error.status, problem=problem(error))
    except Exception as error:
        said = unforeseen(request, error)
        return BatchAnswer(status=said.status, problem=said)
    return BatchAnswer(status=200, answer=answered(served, element.value.return_fields))


@post(
    "/api/v1/recommendations/page",
    dto=StrictBody[PageRequest],
    return_dto=None,
    status_code=200,
    request_max_body_size=SINGLE_LIMIT,
    **described(READ, "answers", 413),
)
async def recommendations_page(
    data: JSONBody[PageRequest], platform: Injected, tracker: Tracking, request: Request[Any, Any, Any]
) -> PageResponse:
    """Fill up to 20 rows of one page, one after another; no item stands in two of them."""
    if data.trace:
        require_admin(request)
    tracker.limit.charge(request.state["token"].token_id, len(data.rows) - 1)
    started = time.perf_counter()
    shown: tuple[int, ...] = ()
    rows = []
    for place, row in enumerate(data.rows):
        served = await _served(row_request(data, row), platform, f"/rows/{place}", shown, _SHARED)
        shown += tuple(item.ordinal for item in served.items)
        answer = msgspec.structs.asdict(answered(served, data.return_fields))
        rows.append(Row(**answer, title=row.title, placement=served.placement))
    return PageResponse(rows=rows, took_ms=round((time.perf_counter() - started) * 1000, 3))


async def _served(
    body: RecommendationRequest, platform: Platform, at: str, shown: tuple[int, ...] = (), shared: tuple[str, ...] = ()
) -> Served:
    """Answer a question that stands at `at` of a larger body, but for `shared` fields, below items shown already."""
    try:
        return await platform.serving.recommend(replace(to_ask(body), shown=shown))
    except InvalidInput as error:
        raise error.within(at, *shared) from error


HANDLERS = [recommendations_batch, recommendations_page]

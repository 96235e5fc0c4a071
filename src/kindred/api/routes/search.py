"""Search."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody

from kindred.api.access import described, require_admin
from kindred.api.bodies import SINGLE_LIMIT, StrictBody
from kindred.api.platform import Injected
from kindred.api.routes.answers import recommended
from kindred.api.schemas.search import MOST_OFFSET, SearchRequest, SearchResponse, SearchResult, to_search
from kindred.api.tokens import READ
from kindred.recommend.ask import Served, ShownItem

TEXT = "text"
"""What an answer says where the index of words failed or was late: what a page holds then says nothing of the next."""


@post(
    "/api/v1/search",
    dto=StrictBody[SearchRequest],
    return_dto=None,
    status_code=200,
    request_max_body_size=SINGLE_LIMIT,
    **described(READ, "answers", 413, 422),
)
async def search(data: JSONBody[SearchRequest], platform: Injected, request: Request[Any, Any, Any]) -> SearchResponse:
    """Find items by what they say about themselves, ordered by how well they match and by who asks."""
    if data.trace:
        require_admin(request)
    return _response(data, await platform.serving.search(to_search(data)))


def next_offset(asked: SearchRequest, served: Served) -> int | None:
    """Return where the next page begins; None where nothing is left, or lies beyond what pages reach.

    Where the index of words failed, a short page does not mean that nothing is left: it goes on behind what was shown.
    A page that shows nothing is the last one, whatever failed: a walk over pages ends.
    """
    shown = len(served.items)
    last = not shown or (shown < asked.count and TEXT not in served.degraded)
    behind = asked.offset + shown
    return None if last or behind > MOST_OFFSET else behind


def _response(asked: SearchRequest, served: Served) -> SearchResponse:
    return SearchResponse(
        results=[_result(shown) for shown in served.items],
        request_id=served.request_id,
        model_version=served.model_version,
        state_version=served.state_version,
        strategy=served.strategy,
        degraded=served.degraded,
        next_offset=next_offset(asked, served),
        took_ms=served.took_ms,
        trace=served.trace,
    )


def _result(shown: ShownItem) -> SearchResult:
    return SearchResult(**msgspec.structs.asdict(recommended(shown)), text_score=round(shown.text_score, 6))


HANDLERS = [search]

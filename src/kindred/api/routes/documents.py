"""The OpenAPI document and its pages."""

from litestar import MediaType, Response, get
from litestar.datastructures import State

from kindred.api.access import described

_PAGE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@get("/openapi.json", media_type=MediaType.JSON, **described(None, "documents"))
async def openapi_json(state: State) -> Response[bytes]:
    """Return the OpenAPI document."""
    return Response(state.documents.openapi, media_type=MediaType.JSON)


@get("/docs", media_type=MediaType.HTML, **described(None, "documents"))
async def docs(state: State) -> Response[bytes]:
    """Show every call on one page that needs nothing from elsewhere."""
    return Response(state.documents.page, media_type=MediaType.HTML, headers=_PAGE)


@get("/docs/errors", media_type=MediaType.HTML, **described(None, "documents"))
async def docs_errors(state: State) -> Response[bytes]:
    """Explain every type of problem."""
    return Response(state.documents.errors, media_type=MediaType.HTML, headers=_PAGE)


HANDLERS = [openapi_json, docs, docs_errors]

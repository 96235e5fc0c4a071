"""Who may call what, and how a call is described in the OpenAPI document."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from kindred.api.limits import RateLimit
from kindred.api.problems import MEDIA_TYPE, Problem
from kindred.api.tokens import ADMIN, TokenVerifier, may_track, require
from kindred.core.config import unknown_key
from kindred.core.errors import Fault, InvalidInput

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]

# Finding the name that was meant costs time for each: one call must not hold up all others.
_UNKNOWN_TOLD = 20
_OURS = {"data", "platform", "request", "state", "tracker"}
_SAID = {
    400: "The input breaks a rule; `errors` names each field",
    401: "No valid token",
    403: "The token lacks a scope",
    404: "Nothing of that id is known",
    408: "The body did not arrive in time",
    409: "What is known already forbids it",
    410: "It was kept once and its retention has passed",
    413: "The body is over the limit",
    422: "A documented field that is not available yet",
    429: "The token made too many calls",
    503: "Try again later; nothing was claimed",
}


def described(scope: str | None, tag: str, *failures: int, from_pages: bool = False, **also: Any) -> dict[str, Any]:
    """Return a handler's options: the scope it needs (None: no token), its tag, and the problems it may answer.

    `from_pages`: publishable tokens are good for it too.
    """
    statuses = (*failures, 401, 403, 429, 503) if scope else failures
    if 413 in failures:
        statuses = (*statuses, 408)
    problems = {
        status: ResponseSpec(Problem, description=_SAID[status], media_type=MEDIA_TYPE, generate_examples=False)
        for status in sorted({400, *statuses})
    }
    return {
        "opt": {"scope": scope, "from_pages": from_pages},
        "tags": [tag],
        "security": [{"bearer": [scope]}] if scope else [{}],
        "responses": {**problems, **also.pop("responses", {})},
        **also,
    }


def accepted(kind: type[Any], description: str) -> dict[int, ResponseSpec]:
    """Describe a 202 besides a handler's 200."""
    return {202: ResponseSpec(kind, description=description, generate_examples=False)}


def guard(verifier: TokenVerifier, limit: RateLimit) -> Guard:
    """Return the guard of every route: the token's scope first, then its rate, then unknown parameters."""

    async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        scope = handler.opt.get("scope")
        if scope is not None:
            token = await verifier.verify(connection.headers.get("authorization"))
            if not (handler.opt.get("from_pages") and may_track(token, connection.headers.get("origin"))):
                require(token, scope)
            limit.spend(token.token_id)
            connection.state["token"] = token
        _refuse_unknown_parameters(connection, handler)

    return admit


def require_admin(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raise Forbidden unless the call's token has the admin scope."""
    require(connection.state["token"], ADMIN)


def _refuse_unknown_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    if not connection.scope["query_string"]:
        return
    known = set(handler.parsed_fn_signature.parameters) - _OURS - set(connection.scope["path_params"])
    unknown = [name for name in connection.query_params if name not in known]
    if unknown:
        detail = {
            name: unknown_key(name[:200], known) if known else "this call has no parameters"
            for name in unknown[:_UNKNOWN_TOLD]
        }
        raise InvalidInput(faults=[Fault(f"/{name[:200]}", text) for name, text in detail.items()])

"""Every failure as `application/problem+json` (RFC 9457)."""

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import KwargDefinition
from litestar.typing import FieldDefinition

from kindred.api.decoding import fault_of
from kindred.core.errors import Fault, InvalidInput, KindredError, NotFound, Overloaded, TooLarge, Unauthorized
from kindred.core.ids import new_id

_MISSING = re.compile(r"Missing required query parameter '([^']+)'")
MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("kindred.api")


class MethodNotAllowed(KindredError):
    """The address exists, but not with this method."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class RequestTimeout(KindredError):
    """The body did not arrive in time; nothing was claimed."""

    status = 408
    code = "request_timeout"
    title = "The body came too slowly"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong: `type` leads to its explanation, `errors` holds a JSON pointer and a sentence per field."""

    type: str
    title: str
    status: int
    detail: str
    errors: Sequence[Fault]
    request_id: str | None = None


def problem(error: KindredError) -> Problem:
    """Describe an error of ours."""
    faults: Sequence[Fault] = getattr(error, "faults", ())
    return Problem(
        type=f"/docs/errors#{error.code}",
        title=error.title,
        status=error.status,
        detail=f"the body{error.detail}" if error.detail.startswith(": ") else error.detail,
        errors=faults,
    )


def respond(body: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Make the response that carries a problem."""
    return Response(msgspec.json.encode(body), status_code=body.status, media_type=MEDIA_TYPE, headers=headers or {})


def headers_of(error: KindredError) -> dict[str, str]:
    """Return `Retry-After`, `WWW-Authenticate` or `Connection` where an error has one."""
    headers: dict[str, str] = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="kindred"'
    if isinstance(error, RequestTimeout):
        # The rest of the body must not be taken for the next call.
        headers["Connection"] = "close"
    return headers


def on_kindred_error(_: Request[Any, Any, Any], error: KindredError) -> Response[bytes]:
    """Answer an error of ours."""
    return respond(problem(error), headers_of(error))


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: no such route, a method it lacks, a parameter, a body over its limit."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_exception(request, error)
    return respond(problem(_translated(request, error)), dict(error.headers or {}))


def _translated(request: Request[Any, Any, Any], error: HTTPException) -> KindredError:
    if isinstance(error, ValidationException):
        return InvalidInput(faults=_parameter_faults(request, error))
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return NotFound(f"there is no {request.scope['path'][:200]!r}; /docs lists what there is")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed(f"{request.method} is not served here; the Allow header lists what is")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge("the body is over this call's limit: 1 MiB, for batches 8 MiB")
        case _:
            return InvalidInput(error.detail)


def _parameter_faults(request: Request[Any, Any, Any], error: ValidationException) -> list[Fault]:
    extra = error.extra if isinstance(error.extra, list) else []
    known = request.route_handler.parsed_fn_signature.parameters
    faults = [
        _parameter_fault(known[each["key"]], str(each["message"]), each["key"])
        if each.get("source") == "query"
        else Fault("", "needs a JSON body")
        for each in extra
        if isinstance(each, dict)
    ]
    if missing := _MISSING.match(error.detail):
        faults.append(Fault(f"/{missing[1]}", f"is a query parameter that is required: ?{missing[1]}=…"))
    return faults or [Fault("", error.detail)]


def _parameter_fault(field: FieldDefinition, message: str, name: str) -> Fault:
    described = field.kwarg_definition.description if isinstance(field.kwarg_definition, KwargDefinition) else None
    if " matching regex " in message and described:
        return Fault(f"/{name}", f"must be {described}")
    return fault_of(field.annotation, message, f"/{name}")


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what nobody foresaw."""
    return respond(unforeseen(request, error))


def unforeseen(request: Request[Any, Any, Any], error: BaseException) -> Problem:
    """Describe what nobody foresaw without showing its insides, and log it under an id that the problem carries."""
    request_id = new_id("err")
    _log.error("%s: %s %s failed", request_id, request.method, request.scope.get("path_template"), exc_info=error)
    known = KindredError(f"something went wrong that is our fault; the log has it under {request_id}")
    return msgspec.structs.replace(problem(known), request_id=request_id)

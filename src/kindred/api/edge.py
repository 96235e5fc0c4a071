"""The outermost layer: slashes inside ids, and the measurement of every call."""

import re
import time
from urllib.parse import unquote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from kindred.core.errors import KindredError
from kindred.core.ids import check_id
from kindred.ports.telemetry import Meter

_SLASH = "\x1f"
_OTHER = "\x1e"
_ENCODED_SLASH = re.compile(rb"%2[fF]")
_ENCODED_MARK = re.compile(rb"%1[fF]")


class Edge:
    """Wraps the application.

    An id may hold a slash, sent as `%2F`. Servers decode it before routing, which would split the id in two; here it
    becomes a control character that no id may hold, and `path_id` turns it back.
    """

    def __init__(self, inner: ASGIApp, meter: Meter) -> None:
        """Wrap `inner`; count and time its calls with `meter`."""
        self._inner = inner
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        scope["path"] = _protected(scope["path"], scope.get("raw_path") or b"")
        status = 500
        started = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        except KindredError as error:
            # Whoever stands before answers it.
            status = error.status
            raise
        finally:
            route = scope.get("path_template") or "none"
            method = scope["method"] if route != "none" else "none"
            self._meter.count("http_requests", route=route, method=method, status=str(status))
            self._meter.observe("http_request_seconds", time.perf_counter() - started, route=route, method=method)


def _protected(path: str, raw: bytes) -> str:
    if _ENCODED_SLASH.search(raw):
        marked = _ENCODED_SLASH.sub(b"%1F", _ENCODED_MARK.sub(b"%1E", raw.partition(b"?")[0]))
        return unquote(marked.decode("ascii", "replace"))
    return path.replace(_SLASH, _OTHER)


def path_id(part: str, pointer: str) -> str:
    """Return the id that a part of the address means; raise InvalidInput naming `pointer` when it breaks the rule."""
    return check_id(part.replace(_SLASH, "/"), pointer)

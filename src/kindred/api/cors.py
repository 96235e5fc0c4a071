"""Cross-origin calls of web pages: events alone, and from configured origins alone (the Fetch standard's CORS)."""

from collections.abc import Collection

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from kindred.api.quick import TRACK, TRACK_BATCH

_VARY = (b"vary", b"origin")
_PREFLIGHT = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
]


class CrossOrigin:
    """Lets pages of some origins send events; what other pages may not read, their browsers keep from them."""

    def __init__(self, inner: ASGIApp, origins: Collection[str]) -> None:
        """Wrap `inner` for pages of `origins`."""
        self._inner = inner
        self._origins = {origin.encode("latin-1") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != ScopeType.HTTP or scope["path"] not in (TRACK, TRACK_BATCH):
            await self._inner(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin not in self._origins or origin is None:
            await self._inner(scope, receive, send)
            return
        allowed = [(b"access-control-allow-origin", origin), _VARY]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": [*allowed, *_PREFLIGHT]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        told = [*allowed, (b"access-control-expose-headers", b"retry-after")]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *told]
            await send(message)

        await self._inner(scope, receive, with_headers)

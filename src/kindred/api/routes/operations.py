"""Health, metrics, the trace of a request, and why an item is not in its answer."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import MediaType, Response, get
from litestar.params import FromPath, QueryParameter

from kindred.api.access import described
from kindred.api.edge import path_id
from kindred.api.platform import Injected
from kindred.api.tokens import ADMIN
from kindred.core.errors import Fault, Overloaded
from kindred.core.ids import check_id
from kindred.core.trace import Trace
from kindred.monitoring.prometheus import CONTENT_TYPE
from kindred.recommend.why_not import WhyNot


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """That the process lives, or is ready to answer; `warnings` are sentences for whoever runs it."""

    status: Literal["live", "ready"]
    warnings: list[str] = []


class NotReady(Overloaded):
    """Some questions cannot be answered yet."""

    code = "not_ready"
    title = "Not ready"

    def __init__(self, reasons: Sequence[str]) -> None:
        """Keep one sentence per reason."""
        super().__init__("; ".join(reasons), retry_after=2)
        self.faults = tuple(Fault("", reason) for reason in reasons)


@get("/health/live", **described(None, "operations"))
async def live() -> Health:
    """Say that the process lives."""
    return Health("live")


@get("/health/ready", **described(None, "operations", 503))
async def ready(platform: Injected) -> Health:
    """Say that questions can be answered, or why not."""
    reasons = platform.serving.ready()
    if reasons:
        raise NotReady(reasons)
    return Health("ready", platform.serving.warnings())


@get("/metrics", media_type=MediaType.TEXT, **described(None, "operations"))
async def metrics(platform: Injected) -> Response[bytes]:
    """Show the measurements as Prometheus text."""
    return Response(platform.meter.expose(), media_type=CONTENT_TYPE)


@get("/api/v1/requests/{request_id:str}/trace", **described(ADMIN, "operations", 404, 410))
async def trace(platform: Injected, request_id: FromPath[str]) -> Trace:
    """Show what every stage of a request did."""
    return await platform.serving.trace(path_id(request_id, "/request_id"))


@get("/api/v1/requests/{request_id:str}/why-not", **described(ADMIN, "operations", 404, 410))
async def why_not(
    platform: Injected,
    request_id: FromPath[str],
    item_id: Annotated[str, QueryParameter(min_length=1, max_length=128, description="an item of the catalogue")],
) -> WhyNot:
    """Say why an item is not in the answer to a request: never proposed, filtered by which rule, ranked where."""
    return await platform.serving.why_not(path_id(request_id, "/request_id"), check_id(item_id, "/item_id"))


HANDLERS = [live, ready, metrics, trace, why_not]

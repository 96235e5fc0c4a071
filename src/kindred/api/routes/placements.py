"""Placements and their rules, changed while servers run: read, replaced as a whole, rolled back."""

from typing import Annotated, Any

from litestar import Request, get, post, put
from litestar.params import JSONBody, QueryParameter

from kindred.api.access import described
from kindred.api.bodies import SINGLE_LIMIT, StrictBody
from kindred.api.decoding import Faults
from kindred.api.platform import Injected
from kindred.api.routes.catalog import DryRun
from kindred.api.schemas.fields import check_text
from kindred.api.schemas.placements import (
    PlacementsBody,
    PlacementsHistory,
    PlacementsOutcome,
    PlacementsView,
    RollbackBody,
    check_placements,
    placements_outcome,
    placements_view,
    version_view,
)
from kindred.api.tokens import ADMIN
from kindred.ports.operations import Token

_LARGEST = 2_000_000_000
Wanted = Annotated[int | None, QueryParameter(ge=0, le=_LARGEST, description="which version; default the newest")]
Before = Annotated[int | None, QueryParameter(ge=1, le=_LARGEST, description="only versions with a smaller number")]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="how many at most")]


@get("/api/v1/placements", **described(ADMIN, "placements", 404))
async def get_placements(platform: Injected, version: Wanted = None) -> PlacementsView:
    """Show a version of the placements, and what holds with it and the settings together."""
    live = platform.placements
    return placements_view(await live.read(version), live.now.version)


@get("/api/v1/placements/versions", **described(ADMIN, "placements"))
async def list_placements(platform: Injected, before: Before = None, limit: Limit = 20) -> PlacementsHistory:
    """List who made which version of the placements when, newest first."""
    found = await platform.placements.history(before, limit)
    following = found[-1].version if found and found[-1].version > 1 else None
    return PlacementsHistory(versions=[version_view(about) for about in found], next_before=following)


@put(
    "/api/v1/placements",
    dto=StrictBody[PlacementsBody],
    return_dto=None,
    request_max_body_size=SINGLE_LIMIT,
    **described(ADMIN, "placements", 409, 413),
)
async def put_placements(
    data: JSONBody[PlacementsBody], platform: Injected, request: Request[Any, Any, Any], dry_run: DryRun = False
) -> PlacementsOutcome:
    """Make a new version of the placements; answers of every server follow within a second."""
    live, note = platform.placements, _checked(data.note)
    check_placements(data.placements, live.configured)
    change = await live.put(data.placements, data.expected_version, _author(request), note, dry_run)
    return placements_outcome(change, dry_run)


@post(
    "/api/v1/placements/rollback",
    dto=StrictBody[RollbackBody],
    return_dto=None,
    status_code=200,
    request_max_body_size=SINGLE_LIMIT,
    **described(ADMIN, "placements", 404, 409, 413),
)
async def roll_back_placements(
    data: JSONBody[RollbackBody], platform: Injected, request: Request[Any, Any, Any], dry_run: DryRun = False
) -> PlacementsOutcome:
    """Make the document of an earlier version the newest, as a version of its own."""
    note = _checked(data.note)
    change = await platform.placements.roll_back(data.version, data.expected_version, _author(request), note, dry_run)
    return placements_outcome(change, dry_run)


def _checked(note: str) -> str:
    faults = Faults()
    check_text(note, "/note", faults)
    faults.done()
    return note


def _author(request: Request[Any, Any, Any]) -> str:
    token: Token = request.state["token"]
    return token.name or token.token_id


HANDLERS = [get_placements, list_placements, put_placements, roll_back_placements]

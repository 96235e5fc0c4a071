"""The whole catalogue at once."""

from typing import Annotated

from litestar import Response, post
from litestar.params import JSONBody, QueryParameter

from kindred.api.access import accepted, described
from kindred.api.bodies import Batch, BatchBody
from kindred.api.platform import Injected
from kindred.api.schemas.items import ItemBody, SyncOutcome, sync_outcome, to_item
from kindred.api.tokens import ADMIN
from kindred.api.writing import sift_long, stored
from kindred.core.errors import InvalidInput
from kindred.ingest.catalog_sync import apply_sync, plan_sync

SYNC_LIMIT = 64 << 20
"""Bytes that a whole catalogue may have in one call; `kindred catalog sync` takes larger ones."""
_SYNC_ELEMENTS = 100_000
_MOST_FAULTS = 100

DryRun = Annotated[bool, QueryParameter(description="only say what would change")]
Force = Annotated[bool, QueryParameter(description="also where more than a fifth of the active items is left out")]


class SyncBody(BatchBody[Batch[ItemBody]]):
    """Reads a whole catalogue."""

    field = "items"
    most = _SYNC_ELEMENTS


@post(
    "/api/v1/catalog/sync",
    dto=SyncBody,
    return_dto=None,
    status_code=200,
    request_max_body_size=SYNC_LIMIT,
    **described(ADMIN, "items", 409, 413, responses=accepted(SyncOutcome, "Durable; answers will see it soon")),
)
async def sync_catalog(
    data: JSONBody[Batch[ItemBody]], platform: Injected, dry_run: DryRun = False, force: Force = False
) -> Response[SyncOutcome]:
    """Make the catalogue equal to a full list: what it leaves out is switched off; one bad item changes nothing."""
    found, items = await sift_long(data, lambda body, pointer: to_item(body, at=pointer))
    faults = [fault for each in found if isinstance(each, InvalidInput) for fault in each.faults]
    if faults:
        raise InvalidInput(faults=faults[:_MOST_FAULTS])
    plan = await plan_sync(platform.stores.catalog, items)
    if dry_run:
        return Response(sync_outcome(plan, "dry_run"))
    plan.check(force)
    last = await apply_sync(plan, platform.journal.record, platform.clock.now())
    seen = await stored(platform, last)
    return Response(sync_outcome(plan, "stored" if seen else "queued"), status_code=200 if seen else 202)


HANDLERS = [sync_catalog]

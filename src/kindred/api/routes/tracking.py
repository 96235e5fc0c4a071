"""Tracked events."""

from typing import Any

from litestar import post
from litestar.params import JSONBody

from kindred.api.access import described
from kindred.api.bodies import BATCH_LIMIT, SINGLE_LIMIT, Batch, BatchBody, StrictBody
from kindred.api.decoding import Faults
from kindred.api.platform import Injected, Rules
from kindred.api.schemas.fields import check_attributes
from kindred.api.schemas.outcomes import BatchOutcome, ElementOutcome, EventOutcome
from kindred.api.tokens import WRITE
from kindred.api.writing import outcome, sift
from kindred.core.event import Interaction
from kindred.ingest.validate import TrackCall, read_track


class TrackBody(StrictBody[TrackCall]):
    """Reads one event plainly: `read_track` checks each field and tells of all faults at once."""

    plain = True


class TrackBatchBody(BatchBody[Batch[TrackCall]]):
    """Reads events plainly, each alone."""

    plain = True
    field = "events"


@post(
    "/api/v1/track",
    dto=TrackBody,
    return_dto=None,
    status_code=202,
    request_max_body_size=SINGLE_LIMIT,
    **described(WRITE, "events", 413),
)
async def track(data: JSONBody[TrackCall], platform: Injected, rules: Rules) -> EventOutcome:
    """Track one event; 202 once it is durable, with its position in the log."""
    event = _interaction(data, rules, platform.clock.now(), "")
    (position,) = await platform.journal.record([event])
    return EventOutcome(event_id=event.event_id, status="queued", position=str(position))


@post(
    "/api/v1/track/batch",
    dto=TrackBatchBody,
    return_dto=None,
    status_code=202,
    request_max_body_size=BATCH_LIMIT,
    **described(WRITE, "events", 413),
)
async def track_batch(data: JSONBody[Batch[TrackCall]], platform: Injected, rules: Rules) -> BatchOutcome:
    """Track up to 1,000 events; each has its own result, and a bad one never loses its neighbours."""
    now = platform.clock.now()
    found, good = sift(data, lambda body, pointer: _interaction(body, rules, now, pointer))
    positions = await platform.journal.record(good) if good else []
    return outcome(found, positions, _told)


def _interaction(body: Any, rules: Rules, now: int, pointer: str) -> Interaction:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if isinstance(metadata, dict):
        faults = Faults(pointer)
        check_attributes(metadata, "/metadata", faults)
        faults.done()
    return read_track(body, rules, now, pointer)


def _told(event: Interaction, position: str) -> ElementOutcome:
    return ElementOutcome(status="queued", event_id=event.event_id, position=position)


HANDLERS = [track, track_batch]

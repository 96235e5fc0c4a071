"""Tracked events.

Well-formed calls never come here: `kindred.api.quick` answers them. What comes is read field by field.
"""

from typing import Any, TypeAlias

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation

from kindred.api.access import described
from kindred.api.bodies import BATCH_LIMIT, SINGLE_LIMIT, Batch, BatchBody, StrictBody
from kindred.api.quick import TRACK, TRACK_BATCH, element, event_outcome
from kindred.api.schemas.outcomes import BatchOutcome, EventOutcome
from kindred.api.tokens import WRITE
from kindred.api.tracker import Tracker
from kindred.api.writing import outcome, sift
from kindred.ingest.validate import TrackCall

Tracking: TypeAlias = NamedDependency[SkipValidation[Tracker]]
"""How a handler asks for the way into the log."""


class TrackBody(StrictBody[TrackCall]):
    """Reads one event plainly: `read_track` checks each field and tells of all faults at once."""

    plain = True


class TrackBatchBody(BatchBody[Batch[TrackCall]]):
    """Reads events plainly, each alone."""

    plain = True
    field = "events"


@post(
    TRACK,
    dto=TrackBody,
    return_dto=None,
    status_code=202,
    request_max_body_size=SINGLE_LIMIT,
    **described(WRITE, "events", 413, from_pages=True),
)
async def track(data: JSONBody[TrackCall], tracker: Tracking) -> EventOutcome:
    """Track one event; 202 once it is durable, with its position in the log."""
    ((event, position, repeated),) = await tracker.record([tracker.read(data, tracker.now())])
    return event_outcome(event, position, repeated)


@post(
    TRACK_BATCH,
    dto=TrackBatchBody,
    return_dto=None,
    status_code=202,
    request_max_body_size=BATCH_LIMIT,
    **described(WRITE, "events", 413, from_pages=True),
)
async def track_batch(
    data: JSONBody[Batch[TrackCall]], tracker: Tracking, request: Request[Any, Any, Any]
) -> BatchOutcome:
    """Track up to 1,000 events; each has its own result, and a bad one never loses its neighbours."""
    now = tracker.now()
    # The call itself was counted when it was let in.
    tracker.limit.charge(request.state["token"].token_id, len(data) - 1)
    found, good = sift(data, lambda body, pointer: tracker.read(body, now, pointer))
    tracked = await tracker.record(good) if good else []
    left = iter(tracked)
    return outcome(found, [each.position for each in tracked], lambda *_: element(*next(left)))


HANDLERS = [track, track_batch]

"""What both ways of tracking share: the accepted event types, the ids seen lately, the rate, and the log."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kindred.api.decoding import Faults
from kindred.api.limits import RateLimit
from kindred.api.platform import Platform
from kindred.api.schemas.fields import check_attributes
from kindred.core.event import Interaction
from kindred.core.position import Position
from kindred.ingest.event_types import EventRules
from kindred.ingest.recent_ids import RecentIds
from kindred.ingest.validate import read_track


class Tracked(NamedTuple):
    """A durable event: where it stands, and whether it stood there before this call."""

    event: Interaction
    position: Position
    repeated: bool


class Tracker:
    """Makes events durable once each, as far as this process remembers their ids."""

    def __init__(self, app: Platform, rules: EventRules, limit: RateLimit) -> None:
        """Track with the event types of `rules` into the log of `app`, at the rate of `limit`."""
        self.rules = rules
        self.limit = limit
        self._app = app
        self._recent = RecentIds()

    def now(self) -> int:
        """Return the time of arrival: milliseconds since 1970 UTC."""
        return self._app.clock.now()

    def read(self, body: Any, now: int, pointer: str = "") -> Interaction:
        """Read a decoded body field by field; raise InvalidInput naming each that is wrong."""
        metadata = body.get("metadata") if isinstance(body, dict) else None
        if isinstance(metadata, dict):
            faults = Faults(pointer)
            check_attributes(metadata, "/metadata", faults)
            faults.done()
        return read_track(body, self.rules, now, pointer)

    async def record(self, events: Sequence[Interaction]) -> list[Tracked]:
        """Make events durable, all or none in each partition; those whose id is remembered are not written again.

        Raises Overloaded, StoreFull or StoreUnavailable; nothing was claimed then where all are of one partition.
        """
        known = [self._recent.find(event) for event in events]
        fresh = [event for event, position in zip(events, known, strict=True) if position is None]
        made = iter(await self._app.journal.record(fresh) if fresh else [])
        tracked = []
        for event, position in zip(events, known, strict=True):
            if position is not None:
                tracked.append(Tracked(event, position, True))
                continue
            new = next(made)
            self._recent.remember(event, new)
            tracked.append(Tracked(event, new, False))
        return tracked

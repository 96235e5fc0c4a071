"""The log's interactions: what was tracked, each event once, forgotten users left out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import polars as pl

from kindred.core.clock import DAY
from kindred.core.event import Interaction, ProfileErased
from kindred.core.position import Position
from kindred.ingest.plan import Plan, event_value, plan
from kindred.ports.catalog import CatalogStore
from kindred.ports.log import EventLog
from kindred.training.lake_rows import SCHEMA

_BATCH = 5_000
_Row = tuple[Position, str, str, str, int, float]


@dataclass(slots=True)
class LogRows:
    """What stands in a log: interactions, erased users with the position of their last erasure, import markers.

    `rows`: (position, user, item, event type, timestamp, value). `end`: the last record read, None in an empty log.
    """

    rows: list[_Row] = field(default_factory=list)
    erased: dict[str, Position] = field(default_factory=dict)
    markers: dict[str, Position] = field(default_factory=dict)
    end: Position | None = None
    _arrived: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, made: Plan) -> None:
        """Take over a run of records."""
        if made.marker is not None:
            self.markers.setdefault(made.marker[1].import_id, made.marker[0])
        for position, person in made.people:
            if isinstance(person, ProfileErased):
                self.erased[person.user_id] = position
        for position, event in made.interactions:
            if event.item_id and not self._repeated(event):
                value = event_value(event)
                self.rows.append((position, event.user_id, event.item_id, event.event_type, event.timestamp, value))
        self.end = made.end

    def _repeated(self, event: Interaction) -> bool:
        """Say whether a client sent the event before, within a day of its arrival."""
        key = (event.user_id, event.event_id)
        before = self._arrived.get(key)
        if before is not None and before >= event.ingested_at - DAY:
            return True
        self._arrived[key] = event.ingested_at
        return False

    async def frame(self, catalog: CatalogStore) -> pl.DataFrame:
        """Return the rows that count as columns of the lake's schema, in order of arrival.

        Items that the catalogue has never heard of are left out.
        """
        kept = [row for row in self.rows if row[1] not in self.erased or row[0] > self.erased[row[1]]]
        ids = sorted({row[2] for row in kept})
        found = [one for first in range(0, len(ids), _BATCH) for one in await catalog.get(ids[first : first + _BATCH])]
        ordinals = {name: one.ordinal for name, one in zip(ids, found, strict=True) if one is not None}
        columns = [(user, ordinals[item], *rest) for _, user, item, *rest in kept if item in ordinals]
        return pl.DataFrame(columns, schema=SCHEMA, orient="row")


async def read_log(log: EventLog) -> LogRows:
    """Read a log from its start to its present end; records that cannot be read are left to the dead letters."""
    found = LogRows()
    async for made in _plans(log):
        found.add(made)
    return found


async def _plans(log: EventLog) -> AsyncIterator[Plan]:
    """Go through every partition, run by run."""
    for end in await log.ends():
        after = end._replace(offset=-1)
        while after < end:
            records = await log.read(after, _BATCH)
            if not records:
                break
            made = plan(records)
            yield made
            after = made.end

"""What forgotten people did to items and placements: kept event by event without their names, so that counts stay."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import polars as pl

from kindred.core.clock import Clock, SystemClock
from kindred.core.errors import InvalidInput
from kindred.core.event import Anonymous, Event, decode_event, encode_event
from kindred.core.position import START, Position
from kindred.features.changes import ItemAct, PlacementCredit, Remains, Shown, UserChange, encode_remains
from kindred.features.groups import FoldConfig
from kindred.features.user_fold import Person, fold_users
from kindred.ingest.effects import Ordinals
from kindred.ingest.exposures import load_exposures
from kindred.ingest.plan import PersonEvent, check_event
from kindred.ingest.user_changes import user_changes, wanted_items
from kindred.ports.catalog import CatalogStore
from kindred.ports.state import StateStore
from kindred.training.lake_events import EVENT_SCHEMA, LakeEvents, LakeManifest

ANONYMOUS = "anonymous"
"""The kind of a row that stands for an event of a forgotten person."""

_PEOPLE = 200
# What says nothing of a person; all other columns of an anonymous row are empty.
_KEPT = ("epoch", "partition", "offset", "item_id", "event_type", "timestamp", "ingested_at", "value", "country")


class FoldedStores(Protocol):
    """What the fold of users looks at besides their events."""

    @property
    def state(self) -> StateStore:
        """Return the folded state."""
        ...

    @property
    def catalog(self) -> CatalogStore:
        """Return the items."""
        ...


class ForgottenActs:
    """Folds forgotten people's events once more, by the same fold, to learn what each added to items and placements."""

    def __init__(self, stores: FoldedStores, config: FoldConfig | None = None, clock: Clock | None = None) -> None:
        """Prepare to fold as the consumer of `stores` does."""
        self._stores, self._config = stores, config or FoldConfig()
        self._ordinals, self._clock = Ordinals(stores.catalog), clock or SystemClock()

    async def of(self, lake: LakeEvents, manifest: LakeManifest, people: Sequence[str]) -> Mapping[Position, bytes]:
        """Return, by position, what takes the place of each event of people that counted for anything but them.

        An event counts for the same whatever came after it, so this may be asked again when only the first events of a
        person are left.
        """
        found: dict[Position, bytes] = {}
        for first in range(0, len(people), _PEOPLE):
            part = list(people[first : first + _PEOPLE])
            rows = lake.scan(manifest.ordered()).filter(pl.col("user_id").is_in(part) & pl.col("raw").is_not_null())
            found |= await self._folded(rows.select("epoch", "partition", "offset", "raw").collect(engine="streaming"))
        return found

    async def _folded(self, rows: pl.DataFrame) -> Mapping[Position, bytes]:
        """Fold the events of some people."""
        by_partition: dict[int, list[tuple[Position, PersonEvent]]] = {}
        events: dict[Position, Event] = {}
        for epoch, partition, offset, raw in rows.sort("epoch", "partition", "offset").iter_rows():
            position = Position(epoch, partition, offset)
            event = _person_event(raw)
            if event is not None:
                events[position] = event
                by_partition.setdefault(partition, []).append((position, event))
        changes: dict[str, list[UserChange]] = {}
        for partition, people in by_partition.items():
            ordinals = await self._ordinals.of(wanted_items(people), self._clock.now())
            exposures = await load_exposures(people, partition, self._stores.state, {}, self._config)
            for user, theirs in user_changes(people, ordinals, exposures, self._config).items():
                changes.setdefault(user, []).extend(theirs)
        return {position: _anonymous(events[position], remains) for position, remains in self._remains(changes).items()}

    def _remains(self, changes: Mapping[str, list[UserChange]]) -> Mapping[Position, Remains]:
        """Return what each change added to anything but its user."""
        acts: dict[Position, list[ItemAct]] = {}
        credits: dict[Position, list[PlacementCredit]] = {}
        told: dict[Position, str] = {}
        people = [
            Person(user, None, START, sorted(theirs, key=lambda change: change.position))
            for user, theirs in changes.items()
        ]
        for person, fold in zip(people, fold_users(people, self._config), strict=True):
            for act in fold.forward:
                acts.setdefault(act.source, []).append(act)
            for credit in fold.credits:
                credits.setdefault(credit.position, []).append(credit)
            told |= {
                change.position: change.placement
                for change in person.changes
                if isinstance(change, Shown) and change.client and change.placement
            }
        return {
            position: Remains(acts.get(position, []), credits.get(position, []), told.get(position, ""))
            for position in {*acts, *credits, *told}
        }


def anonymous_rows(rows: pl.DataFrame, remains: Mapping[Position, bytes]) -> pl.DataFrame:
    """Return what takes the place of event rows (columns of `EVENT_SCHEMA`): nothing for those that left nothing."""
    places = rows.select("epoch", "partition", "offset").iter_rows()
    raw = [remains.get(Position(*place)) for place in places]
    kept = rows.with_columns(pl.Series("raw", raw, dtype=pl.Binary)).filter(pl.col("raw").is_not_null())
    return kept.select(
        pl.lit(ANONYMOUS).alias(name)
        if name == "kind"
        else pl.col(name)
        if name in (*_KEPT, "raw")
        else pl.lit(None, kind).alias(name)
        for name, kind in EVENT_SCHEMA.items()
    )


def _anonymous(event: Event, remains: Remains) -> bytes:
    """Return the event that stands for another."""
    return encode_event(
        Anonymous(
            event_id="",
            timestamp=event.timestamp,
            ingested_at=event.ingested_at,
            told=remains.told,
            remains=encode_remains(remains),
        )
    )


def _person_event(raw: bytes) -> PersonEvent | None:
    """Return an event of a person, None for what was never folded."""
    try:
        event = decode_event(raw)
        check_event(event)
    except (InvalidInput, RecursionError):
        return None
    return event  # type: ignore[return-value]

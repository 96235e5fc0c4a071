"""One batch of events: log records in, records of users and items out, in one write that moves the watermark."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindred.core.clock import Clock
from kindred.core.event import Imported, Interaction, ProfileErased, encode_event
from kindred.core.position import START, Position
from kindred.features.changes import ItemAct, PlacementCredit, Remains, UserChange, decode_remains
from kindred.features.groups import (
    FoldConfig,
    erased_key,
    erasure_mark,
    placement_key,
    read_erasure_mark,
    user_key,
)
from kindred.features.placements import PlacementRecord, decode_placement, encode_placement, fold_placement
from kindred.features.user_fold import Person, UserFold, fold_users
from kindred.features.users import decode_user, encode_user
from kindred.ingest.bulk import fold_import
from kindred.ingest.effects import Ordinals, drop_reserves, write_catalogue, write_profiles
from kindred.ingest.exposures import Exposures, load_exposures
from kindred.ingest.forwarding import forward
from kindred.ingest.history import write_history
from kindred.ingest.items import RECORDS_AT_ONCE, fold_acts
from kindred.ingest.outgoing import append_outgoing, copy_marker
from kindred.ingest.plan import Plan, plan
from kindred.ingest.trends import TrendBoard
from kindred.ingest.user_changes import user_changes, wanted_items
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import DeadLetter, DeadLetters, EventLog, LogRecord
from kindred.ports.operations import Cache
from kindred.ports.state import StateRecord, StateStore, StateWrite
from kindred.ports.telemetry import Meter

GROUP = "consumer"

_Folded = Sequence[tuple[Person, UserFold]]


def _nobody() -> None:
    """Wake nobody."""


@dataclass(frozen=True, slots=True)
class IngestStores:
    """What the consumer reads and writes; `lake` is the folder where imports leave their columns.

    `item_log`: where acts go on their way to the items, None where items are folded together with users. `cache`: what
    servers keep of users, dropped of who is forgotten or another by now.
    """

    log: EventLog
    state: StateStore
    interactions: InteractionStore
    catalog: CatalogStore
    profiles: ProfileStore
    lake: Path
    dead_letters: DeadLetters
    item_log: EventLog | None = None
    cache: Cache | None = None


class UserStage:
    """Folds batches of events into the stores.

    The order makes every crash harmless: catalogue, profiles, history and dead letters first (safe to do twice), then
    what goes to other logs, then items before users with the watermark, and the log's commit after that. So whoever
    finds a user's record folded up to a position finds everything else that came of it in place.
    """

    name = GROUP

    def __init__(
        self,
        stores: IngestStores,
        config: FoldConfig,
        board: Callable[[], TrendBoard],
        clock: Clock,
        meter: Meter,
        forwarded: Callable[[], None] = _nobody,
    ) -> None:
        """Fold into `stores`; `board` makes the trends, `forwarded` is called when acts went to the items' log."""
        self.log = stores.log
        self._stores, self._config, self._make_board = stores, config, board
        self._clock, self._meter, self._forwarded = clock, meter, forwarded
        self._ordinals = Ordinals(stores.catalog)
        self._boards: dict[int, TrendBoard] = {}
        self._told: dict[int, dict[str, Position | None]] = {}

    async def watermark(self, partition: int) -> Position:
        """Return the position up to which the state holds a partition."""
        return await self._stores.state.watermark(partition)

    async def start(self, partition: int) -> None:
        """Begin to load trends, where items are folded here."""
        self._told[partition] = {}
        if self._stores.item_log is None:
            self._boards[partition] = self._make_board()
            self._boards[partition].begin(self._stores.state)

    def drop(self, partition: int) -> None:
        """Forget what is kept in memory for a partition."""
        self._told.pop(partition, None)
        board = self._boards.pop(partition, None)
        if board is not None:
            board.close()

    async def fold(self, records: Sequence[LogRecord], standing: Position) -> Position:
        """Fold the records up to the next import marker (or that marker alone) and return where the fold stands now."""
        made = plan(records)
        if made.marker is not None:
            await self._fold_marker(*made.marker, standing)
        else:
            await self._fold_events(made, standing)
        await self.log.commit(GROUP, made.end)
        return made.end

    async def bury(self, record: LogRecord, error: Exception, standing: Position) -> Position:
        """Set a record apart that breaks the fold, and move on behind it.

        A request to be forgotten is carried out without reading what is there; raises where even that cannot be done,
        for behind a dead letter it would look done.
        """
        made = plan([record])
        if any(isinstance(event, ProfileErased) for _, event in made.people):
            made.unread = True
            await self._fold_events(made, standing)
            await self.log.commit(GROUP, made.end)
            return made.end
        reason = f"fold_failed: {type(error).__name__}: {str(error)[:300]}"
        await self._stores.dead_letters.bury([DeadLetter(record.position, reason, record.data)])
        await self._stores.state.write([], record.position, standing)
        await self.log.commit(GROUP, record.position)
        self._meter.count("events_buried")
        return record.position

    async def tick(self, partition: int, position: Position) -> None:
        """Write trending lists that are due, though no event came."""
        if partition in self._boards and position.offset >= 0:
            writes = await self._boards[partition].writes_if_due(self._clock.now())
            if writes:
                await self._stores.state.write(writes, position, position)

    async def _fold_events(self, made: Plan, standing: Position) -> None:
        """Fold ordinary events."""
        stores, now = self._stores, self._clock.now()
        await write_catalogue(made, stores.catalog, standing, now)
        exposures = await self._exposures(made)
        folds = await self._fold_users(made, exposures, now)
        counted: list[Remains | UserFold] = [decode_remains(event.remains) for _, event in made.remains]
        counted += [fold for _, fold in folds]
        await write_profiles(folds, made.end, stores.profiles)
        event_ids = {position: event.event_id for position, event in made.people if isinstance(event, Interaction)}
        # The history is stored by a thread of its own: meanwhile the items are folded.
        history = asyncio.ensure_future(write_history(folds, event_ids, made.end, stores.interactions, self._config))
        try:
            item_writes = await self._item_writes([act for each in counted for act in each.forward], made.end.partition)
        finally:
            await history
        letters = [*made.letters, *_refused(made, folds)]
        if letters:
            await stores.dead_letters.bury(letters)
        await append_outgoing(made.people, folds, self.log)
        writes = [
            *item_writes,
            *await self._placement_writes([credit for each in counted for credit in each.credits], made.end),
            *exposures.writes(made.end.partition),
            *await _user_writes(folds),
        ]
        await stores.state.write(writes, made.end, standing)
        await drop_reserves(folds, stores.cache)
        self._told[made.end.partition].update(exposures.new)
        self._count(made, folds)

    async def _exposures(self, made: Plan) -> Exposures:
        """Return who tells what was shown, at the placements of this batch."""
        partition = made.end.partition
        told = self._told.setdefault(partition, {})
        found = await load_exposures([*made.people, *made.remains], partition, self._stores.state, told, self._config)
        for position, event in made.remains:
            found.told(event.told, position)
        return found

    async def _fold_users(self, made: Plan, exposures: Exposures, now: int) -> list[tuple[Person, UserFold]]:
        """Fold each user's changes into what the state holds of them, giving way to other work every so many users."""
        ordinals = await self._ordinals.of(wanted_items(made.people), now)
        changes = user_changes(made.people, ordinals, exposures, self._config)
        users = list(changes)
        found: list[tuple[Person, UserFold]] = []
        for start in range(0, len(users), RECORDS_AT_ONCE):
            part = await self._people(users[start : start + RECORDS_AT_ONCE], changes, made)
            found += zip(part, fold_users(part, self._config), strict=True)
            await asyncio.sleep(0)
        return found

    async def _people(
        self, users: Sequence[str], changes: Mapping[str, Sequence[UserChange]], made: Plan
    ) -> list[Person]:
        """Read users; one without a record may have been forgotten: what came before that is over for ever."""
        state, partition = self._stores.state, made.end.partition
        view = await state.read([user_key(user) for user in users], partition)
        new = [user for user, stored in zip(users, view.records, strict=True) if stored is None or made.unread]
        marks = await state.read([erased_key(user) for user in new], partition) if new else None
        erased = dict(zip(new, marks.records, strict=True)) if marks is not None else {}
        found = []
        for user, stored in zip(users, view.records, strict=True):
            mark = erased.get(user)
            record = decode_user(stored.value) if stored is not None and not made.unread else None
            folded = stored or mark
            forgotten = 0 if mark is None else read_erasure_mark(mark.value)[1]
            found.append(Person(user, record, START if folded is None else folded.position, changes[user], forgotten))
        return found

    async def _item_writes(self, acts: Sequence[ItemAct], partition: int) -> list[StateWrite]:
        """Fold acts into their items, or send them on their way there."""
        stores = self._stores
        if stores.item_log is not None:
            if acts:
                await forward(acts, stores.item_log)
                self._forwarded()
            return []
        made = await fold_acts(acts, stores.state, self._config)
        board = self._boards.get(partition)
        if board is None:
            return made.writes
        board.update(made.items, made.countries)
        return [*made.writes, *await board.writes_if_due(self._clock.now())]

    async def _placement_writes(self, credits: Sequence[PlacementCredit], end: Position) -> list[StateWrite]:
        """Add up what placements gained."""
        by_placement: dict[str, list[PlacementCredit]] = {}
        for credit in credits:
            by_placement.setdefault(credit.placement, []).append(credit)
        keys = {placement: placement_key(placement, end.partition) for placement in by_placement}
        view = await self._stores.state.read(list(keys.values()), end.partition)
        writes = []
        for (placement, key), stored in zip(keys.items(), view.records, strict=True):
            record, folded = PlacementRecord(), START
            if stored is not None:
                record, folded = decode_placement(stored.value), stored.position
            changed = fold_placement(record, folded, by_placement[placement])
            if changed is not None:
                writes.append(StateWrite(key, StateRecord(end, encode_placement(changed))))
        return writes

    async def _fold_marker(self, position: Position, marker: Imported, standing: Position) -> None:
        """Fold the users of a bulk import that belong to this partition, and what they did to items."""
        stores, log, partition = self._stores, self.log, position.partition
        await copy_marker(position, marker, log)
        forwarding = stores.item_log is not None
        result = await fold_import(position, marker, stores.lake, stores.state, standing, self._config, log, forwarding)
        if result.letter is not None:
            await stores.dead_letters.bury([result.letter])
        if stores.item_log is not None and result.acts:
            await forward(result.acts, stores.item_log)
            self._forwarded()
        placements = await self._placement_writes(result.credits, position)
        board = self._boards.get(partition)
        trends: list[StateWrite] = []
        if board is not None:
            board.update(result.items, result.countries)
            trends = await board.writes_if_due(self._clock.now())
        await stores.state.write([*result.last, *placements, *trends], position, standing)
        self._meter.count("rows_imported", result.rows)

    def _count(self, made: Plan, folds: _Folded) -> None:
        """Report what the batch held."""
        self._meter.count("events_folded", len(made.people) + len(made.items))
        for name, count in (
            ("events_duplicate", sum(fold.duplicates for _, fold in folds)),
            ("events_late_dropped", sum(fold.late for _, fold in folds)),
            ("events_buried", len(made.letters)),
        ):
            if count:
                self._meter.count(name, count)


def _refused(made: Plan, folds: _Folded) -> list[DeadLetter]:
    """Return the merges of users who were merged into someone else before: first in the log wins."""
    positions = {position for _, fold in folds for position in fold.refused}
    if not positions:
        return []
    reason = "merge_refused: the user was merged into another one before"
    return [DeadLetter(place, reason, encode_event(event)) for place, event in made.people if place in positions]


async def _user_writes(folds: _Folded) -> list[StateWrite]:
    """Store the records of users that changed, or the tombstones of forgotten ones, behind the marks of erasure."""
    marks: list[StateWrite] = []
    writes: list[StateWrite] = []
    for person, fold in folds:
        if fold.erased is not None:
            mark = erasure_mark(fold.erased, fold.forgotten)
            marks.append(StateWrite(erased_key(person.user_id), StateRecord(fold.erased, mark)))
        if fold.position is not None:
            writes.append(StateWrite(user_key(person.user_id), StateRecord(fold.position, encode_user(fold.record))))
            if len(writes) % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
    return [*marks, *writes]

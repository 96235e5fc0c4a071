"""One batch: log records in, records of users and items out, in one write that moves the watermark."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindred.core.clock import Clock
from kindred.core.position import START, Position
from kindred.features.groups import Act, FoldConfig, item_key, user_key
from kindred.features.items import ItemRecord, decode_item, encode_item, fold_item
from kindred.features.users import UserChange, UserFold, decode_user, encode_user, fold_user
from kindred.ingest.bulk import fold_import
from kindred.ingest.effects import Ordinals, write_catalogue, write_history, write_profiles
from kindred.ingest.plan import Plan, plan, user_changes
from kindred.ingest.trends import TrendBoard
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import DeadLetter, DeadLetters, EventLog, LogRecord
from kindred.ports.state import StateRecord, StateStore, StateWrite
from kindred.ports.telemetry import Meter

_SLICE = 16
# A record has some 20 kB: a whole batch read or written in one go would hold up requests for tens of milliseconds.
_RECORDS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class IngestStores:
    """What the consumer reads and writes; `lake` is the folder where imports leave their columns.

    `item_log`: where acts go on their way to the items, None where items are folded together with users.
    """

    log: EventLog
    state: StateStore
    interactions: InteractionStore
    catalog: CatalogStore
    profiles: ProfileStore
    lake: Path
    dead_letters: DeadLetters
    item_log: EventLog | None = None


class Folder:
    """Folds batches of log records into the stores.

    The order makes every crash harmless: catalogue, profiles and history first (safe to do twice), then dead letters,
    then items and users with the watermark, and the log's commit after that.
    """

    def __init__(
        self, stores: IngestStores, config: FoldConfig, board: TrendBoard, clock: Clock, meter: Meter, group: str
    ) -> None:
        """Fold into `stores` and keep `board` current; `group` is the name that the log's commits carry."""
        self._stores, self._config, self._board = stores, config, board
        self._clock, self._meter, self._group = clock, meter, group
        self._ordinals = Ordinals(stores.catalog)

    async def fold(self, records: Sequence[LogRecord]) -> Position:
        """Fold the records up to the next import marker (or that marker alone) and return where the fold stands now."""
        made = plan(records)
        if made.marker is not None:
            await self._fold_marker(made)
        else:
            await self._fold_events(made)
        await self._stores.log.commit(self._group, made.end)
        return made.end

    async def _fold_marker(self, made: Plan) -> None:
        """Fold a bulk import."""
        if made.marker is None:
            return
        position, marker = made.marker
        result = await fold_import(position, marker, self._stores.lake, self._stores.state, self._config)
        if result.letter is not None:
            await self._stores.dead_letters.bury([result.letter])
        self._board.update(result.items)
        await self._stores.state.write([*result.last, *await self._trending(position)], position)
        self._meter.count("rows_imported", result.rows)

    async def _fold_events(self, made: Plan) -> None:
        """Fold ordinary events."""
        stores, now = self._stores, self._clock.now()
        watermark = await stores.state.watermark(made.end.partition)
        await write_catalogue(made, stores.catalog, watermark, now)
        wanted = [event.item_id for _, event in made.interactions if event.item_id]
        changes = user_changes(made, await self._ordinals.of(wanted, now))
        folds = await self._fold_users(changes)
        await write_profiles(made, stores.profiles, watermark)
        await write_history(folds, made, stores.interactions, self._config)
        if made.letters:
            await stores.dead_letters.bury(made.letters)
        items = await self._fold_items(folds)
        writes = [_item_write(ordinal, position, record) for ordinal, (position, record) in items.items()]
        writes += await _user_writes(folds)
        self._board.update({ordinal: record for ordinal, (_, record) in items.items()})
        await stores.state.write([*writes, *await self._trending(made.end)], made.end)
        self._count(made, folds)

    async def _fold_users(self, changes: Mapping[str, Sequence[UserChange]]) -> list[tuple[str, UserFold]]:
        """Fold each user's changes into what the state holds of them, giving way to other work every few users."""
        users = list(changes)
        found: list[tuple[str, UserFold]] = []
        for start in range(0, len(users), _RECORDS_AT_ONCE):
            part = users[start : start + _RECORDS_AT_ONCE]
            view = await self._stores.state.read([user_key(user) for user in part])
            for user, stored in zip(part, view.records, strict=True):
                record = decode_user(stored.value) if stored is not None else None
                folded = stored.position if stored is not None else START
                found.append((user, fold_user(record, folded, changes[user], self._config)))
                if len(found) % _SLICE == 0:
                    await asyncio.sleep(0)
        return found

    async def _fold_items(self, folds: Sequence[tuple[str, UserFold]]) -> dict[int, tuple[Position, ItemRecord]]:
        """Count what users did on the items' side; return changed records with the position they are folded to."""
        acts: dict[int, list[Act]] = {}
        for _, fold in folds:
            for act in fold.forward:
                if act.item >= 0:
                    acts.setdefault(act.item, []).append(act)
        if not acts:
            return {}
        ordinals = list(acts)
        view = await self._stores.state.read([item_key(ordinal) for ordinal in ordinals])
        found: dict[int, tuple[Position, ItemRecord]] = {}
        for index, (ordinal, stored) in enumerate(zip(ordinals, view.records, strict=True)):
            record = decode_item(stored.value) if stored is not None else ItemRecord()
            folded = stored.position if stored is not None else START
            changed = fold_item(record, folded, acts[ordinal], self._config)
            if changed is not None:
                found[ordinal] = (max(act.position for act in acts[ordinal]), changed)
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return found

    async def _trending(self, position: Position) -> list[StateWrite]:
        """Return the trending lists where they are due, made beside the event loop."""
        now = self._clock.now()
        return await asyncio.to_thread(self._board.writes, now, position) if self._board.due(now) else []

    async def bury(self, record: LogRecord, error: Exception) -> Position:
        """Set a record apart that breaks the fold, and move on behind it."""
        reason = f"fold_failed: {type(error).__name__}: {str(error)[:300]}"
        await self._stores.dead_letters.bury([DeadLetter(record.position, reason, record.data)])
        await self._stores.state.write([], record.position)
        await self._stores.log.commit(self._group, record.position)
        self._meter.count("events_buried")
        return record.position

    async def write_trends(self, position: Position) -> None:
        """Write the trending lists where they are due, though no event came."""
        writes = await self._trending(position)
        if writes:
            await self._stores.state.write(writes, position)

    def _count(self, made: Plan, folds: Sequence[tuple[str, UserFold]]) -> None:
        """Report what the batch held."""
        self._meter.count("events_folded", len(made.interactions) + len(made.people) + len(made.items))
        for name, count in (
            ("events_duplicate", sum(fold.duplicates for _, fold in folds)),
            ("events_late_dropped", sum(fold.late for _, fold in folds)),
            ("events_buried", len(made.letters)),
        ):
            if count:
                self._meter.count(name, count)


def _item_write(ordinal: int, position: Position, record: ItemRecord) -> StateWrite:
    """Store an item's record."""
    return StateWrite(item_key(ordinal), StateRecord(position, encode_item(record)))


async def _user_writes(folds: Sequence[tuple[str, UserFold]]) -> list[StateWrite]:
    """Store the records of users that changed, or the tombstones of forgotten ones; other work gets its turn."""
    writes = []
    for user_id, fold in folds:
        if fold.position is not None:
            writes.append(StateWrite(user_key(user_id), StateRecord(fold.position, encode_user(fold.record))))
            if len(writes) % _RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
    return writes

"""The item side: acts of any users become records of items and of items in countries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from kindred.core.clock import Clock
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.changes import ItemAct
from kindred.features.groups import FoldConfig, item_country_key, item_key
from kindred.features.items import (
    ItemRecord,
    Touched,
    decode_item,
    encode_item,
    fold_item_countries,
    fold_items,
)
from kindred.ingest.forwarding import by_item, item_side, log_side, read_forwarded
from kindred.ingest.trends import TrendBoard
from kindred.ports.log import DeadLetter, DeadLetters, EventLog, LogRecord
from kindred.ports.state import StateKey, StateRecord, StateStore, StateWrite
from kindred.ports.telemetry import Meter

GROUP = "items"
# A record has some kB: a whole batch read or folded in one go would hold up requests for tens of milliseconds.
RECORDS_AT_ONCE = 256

_Fold = Callable[[Sequence[Touched], FoldConfig], list[ItemRecord | None]]
_Place = Callable[[Sequence[ItemAct]], Position]


class ItemsFolded(NamedTuple):
    """The writes that a batch makes, and the changed records by ordinal, and by ordinal and country."""

    writes: list[StateWrite]
    items: dict[int, ItemRecord]
    countries: dict[tuple[int, str], ItemRecord]


def highest_source(acts: Sequence[ItemAct]) -> Position:
    """Return where a record stands that is folded together with the users: the highest source among its acts."""
    return max(act.source for act in acts)


async def fold_acts(
    acts: Sequence[ItemAct], state: StateStore, config: FoldConfig, place: _Place = highest_source
) -> ItemsFolded:
    """Fold acts into what the state holds of their items; `place` says where a record stands that holds its acts."""
    items = by_item(acts)
    countries: dict[tuple[int, str], list[ItemAct]] = {}
    for ordinal, of_item in items.items():
        for act in of_item:
            if act.country:
                countries.setdefault((ordinal, act.country), []).append(act)
    writes: list[StateWrite] = []
    changed = await _fold(
        {item_key(ordinal): of_item for ordinal, of_item in items.items()}, state, config, fold_items, place, writes
    )
    local = await _fold(
        {item_country_key(*where): of_pair for where, of_pair in countries.items()},
        state,
        config,
        fold_item_countries,
        place,
        writes,
    )
    return ItemsFolded(
        writes,
        {ordinal: changed[item_key(ordinal)] for ordinal in items if item_key(ordinal) in changed},
        {where: local[item_country_key(*where)] for where in countries if item_country_key(*where) in local},
    )


async def _fold(
    acts: Mapping[StateKey, Sequence[ItemAct]],
    state: StateStore,
    config: FoldConfig,
    fold: _Fold,
    place: _Place,
    writes: list[StateWrite],
) -> dict[StateKey, ItemRecord]:
    """Read, fold and write up records some at a time; return those that changed."""
    keys = list(acts)
    changed: dict[StateKey, ItemRecord] = {}
    for start in range(0, len(keys), RECORDS_AT_ONCE):
        part = keys[start : start + RECORDS_AT_ONCE]
        view = await state.read(part)
        records = [decode_item(stored.value) if stored is not None else ItemRecord() for stored in view.records]
        touched = [Touched(record, acts[key]) for record, key in zip(records, part, strict=True)]
        for key, made in zip(part, fold(touched, config), strict=True):
            if made is not None:
                changed[key] = made
                writes.append(StateWrite(key, StateRecord(place(acts[key]), encode_item(made))))
        await asyncio.sleep(0)
    return changed


class ItemStage:
    """Folds the items' log of a fleet into item records, each act once, by the source that it carries."""

    name = GROUP

    def __init__(
        self,
        log: EventLog,
        state: StateStore,
        dead_letters: DeadLetters,
        config: FoldConfig,
        board: Callable[[int], Awaitable[TrendBoard]],
        clock: Clock,
        meter: Meter,
    ) -> None:
        """Fold `log`; `board` makes the trends of one of its partitions."""
        self.log = log
        self._state, self._letters, self._config = state, dead_letters, config
        self._make_board, self._clock, self._meter = board, clock, meter
        self._boards: dict[int, TrendBoard] = {}

    async def watermark(self, partition: int) -> Position:
        """Return the position of the items' log up to which the state holds a partition."""
        return log_side(await self._state.watermark(item_side(Position(0, partition, 0)).partition))

    async def start(self, partition: int) -> None:
        """Begin to load the trends of a partition's items."""
        self._boards[partition] = await self._make_board(partition)
        self._boards[partition].begin(self._state)

    async def fold(self, records: Sequence[LogRecord]) -> Position:
        """Fold records of one partition."""
        end = records[-1].position
        acts: list[ItemAct] = []
        latest: dict[int, Position] = {}
        letters: list[DeadLetter] = []
        for position, data in records:
            try:
                found = read_forwarded(data)
            except InvalidInput as error:
                letters.append(DeadLetter(item_side(position), f"unreadable: {str(error)[:300]}", data))
                continue
            acts += found
            latest[found[0].item] = position
        if letters:
            await self._letters.bury(letters)
        made = await fold_acts(acts, self._state, self._config, lambda acts: item_side(latest[acts[0].item]))
        board = self._boards[end.partition]
        board.update(made.items, made.countries)
        trends = await board.writes_if_due(self._clock.now())
        await self._state.write([*made.writes, *trends], item_side(end))
        await self.log.commit(self.name, end)
        self._meter.count("item_acts_folded", len(acts))
        return end

    async def bury(self, record: LogRecord, error: Exception) -> Position:
        """Set a record apart that breaks the fold, and move on behind it."""
        reason = f"fold_failed: {type(error).__name__}: {str(error)[:300]}"
        await self._letters.bury([DeadLetter(item_side(record.position), reason, record.data)])
        await self._state.write([], item_side(record.position))
        await self.log.commit(self.name, record.position)
        self._meter.count("events_buried")
        return record.position

    async def tick(self, partition: int, position: Position) -> None:
        """Write trending lists that are due, though nothing came."""
        if position.offset < 0:
            return
        writes = await self._boards[partition].writes_if_due(self._clock.now())
        if writes:
            await self._state.write(writes, item_side(position))

    def drop(self, partition: int) -> None:
        """Forget the trends of a partition that is another's now."""
        board = self._boards.pop(partition, None)
        if board is not None:
            board.close()

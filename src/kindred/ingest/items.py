"""The item side: acts of any users become records of items and of items in countries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

import msgspec

from kindred.core.clock import Clock
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.activity import active_entries
from kindred.features.changes import ItemAct
from kindred.features.groups import FoldConfig, item_country_key, item_key
from kindred.features.item_acts import Record, Touched
from kindred.features.item_blocks import read_blocks
from kindred.features.item_countries import CountryRecord, decode_country, encode_country, fold_countries
from kindred.features.items import ItemRecord, decode_item, encode_item, fold_items
from kindred.ingest.forwarding import by_item, item_side, log_side, read_forwarded
from kindred.ingest.trends import TrendBoard
from kindred.ports.log import DeadLetter, DeadLetters, EventLog, LogRecord
from kindred.ports.state import StateKey, StateRecord, StateStore, StateWrite
from kindred.ports.telemetry import Meter

GROUP = "items"
# A record has some kB: a whole batch read or folded in one go would hold up requests for tens of milliseconds.
RECORDS_AT_ONCE = 256

_Place = Callable[[Sequence[ItemAct]], Position]


class ItemsFolded(NamedTuple):
    """The writes that a batch makes, and changed activity, as entries, by ordinal, and by ordinal and country."""

    writes: list[StateWrite]
    items: dict[int, bytes]
    countries: dict[tuple[int, str], bytes]


@dataclass(frozen=True, slots=True)
class _Kind(Generic[Record]):
    """How records of one kind are read, folded, written, and what of them trends."""

    decode: Callable[[bytes], Record]
    fold: Callable[[Sequence[Touched[Record]], FoldConfig], list[Record | None]]
    encode: Callable[[Record], bytes]
    active: Callable[[Sequence[Record]], list[bytes]]


def items_active(records: Sequence[ItemRecord]) -> list[bytes]:
    """Return the activity of each item as entries."""
    return active_entries(read_blocks([record.cells for record in records]))


_ITEMS = _Kind(decode_item, fold_items, encode_item, items_active)
_COUNTRIES: _Kind[CountryRecord] = _Kind(
    decode_country, fold_countries, encode_country, lambda records: [record.counters for record in records]
)


def highest_source(acts: Sequence[ItemAct]) -> Position:
    """Return where a record stands that is folded together with the users: the source of the last of its acts."""
    return acts[-1].source


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
            for country, entries in act.local:
                there = msgspec.structs.replace(act, country=country, extra=entries, local=())
                countries.setdefault((ordinal, country), []).append(there)
    writes: list[StateWrite] = []
    keys = {item_key(ordinal): ordinal for ordinal in items}
    changed = await _fold(_ITEMS, {key: items[keys[key]] for key in keys}, state, config, place, writes)
    pairs = {item_country_key(*pair): pair for pair in countries}
    local = await _fold(_COUNTRIES, {key: countries[pairs[key]] for key in pairs}, state, config, place, writes)
    return ItemsFolded(
        writes,
        {keys[key]: active for key, active in changed.items()},
        {pairs[key]: active for key, active in local.items()},
    )


async def _fold(
    kind: _Kind[Record],
    acts: Mapping[StateKey, Sequence[ItemAct]],
    state: StateStore,
    config: FoldConfig,
    place: _Place,
    writes: list[StateWrite],
) -> dict[StateKey, bytes]:
    """Read, fold and write up records some at a time; return the activity of those that changed."""
    keys = list(acts)
    changed: dict[StateKey, bytes] = {}
    for start in range(0, len(keys), RECORDS_AT_ONCE):
        part = keys[start : start + RECORDS_AT_ONCE]
        view = await state.read(part)
        records = [kind.decode(stored.value if stored is not None else b"") for stored in view.records]
        touched = [Touched(record, acts[key]) for record, key in zip(records, part, strict=True)]
        made = {key: record for key, record in zip(part, kind.fold(touched, config), strict=True) if record is not None}
        changed.update(zip(made, kind.active(list(made.values())), strict=True))
        writes += [StateWrite(key, StateRecord(place(acts[key]), kind.encode(made[key]))) for key in made]
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

    async def fold(self, records: Sequence[LogRecord], standing: Position) -> Position:
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
        await self._state.write([*made.writes, *trends], item_side(end), item_side(standing))
        await self.log.commit(self.name, end)
        self._meter.count("item_acts_folded", len(acts))
        return end

    async def bury(self, record: LogRecord, error: Exception, standing: Position) -> Position:
        """Set a record apart that breaks the fold, and move on behind it."""
        reason = f"fold_failed: {type(error).__name__}: {str(error)[:300]}"
        await self._letters.bury([DeadLetter(item_side(record.position), reason, record.data)])
        await self._state.write([], item_side(record.position), item_side(standing))
        await self.log.commit(self.name, record.position)
        self._meter.count("events_buried")
        return record.position

    async def tick(self, partition: int, position: Position) -> None:
        """Write trending lists that are due, though nothing came."""
        if position.offset < 0:
            return
        writes = await self._boards[partition].writes_if_due(self._clock.now())
        if writes:
            await self._state.write(writes, item_side(position), item_side(position))

    def drop(self, partition: int) -> None:
        """Forget the trends of a partition that is another's now."""
        board = self._boards.pop(partition, None)
        if board is not None:
            board.close()

"""The fold of a bulk import: its columns become records that carry the marker's position."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.core.event import Imported, encode_event
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.bulk import CountryTally, ItemTally, bulk_users, owners_of
from kindred.features.bulk_attribution import Attribution, attribute
from kindred.features.changes import ItemAct, PlacementCredit
from kindred.features.circumstances import Circumstances
from kindred.features.groups import UNKNOWN_TIME, FoldConfig, import_key, user_key
from kindred.features.history import HistoryRows
from kindred.features.user_folding import country_of_profile
from kindred.features.users import decode_user, encode_user, merge_user
from kindred.ingest.fold_columns import NOBODY, FoldColumns, fold_parts
from kindred.ingest.items import ItemsFolded, fold_acts
from kindred.ports.log import DeadLetter, EventLog
from kindred.ports.state import StateRecord, StateStore, StateWrite

_ROWS = 50_000
_USERS = 1_000
_ITEMS = 500
_profile_decoder = msgspec.msgpack.Decoder(Profile)


class _Gained:
    """What items, countries and placements gain by an import."""

    def __init__(self, config: FoldConfig) -> None:
        self.items, self.countries = ItemTally(config), CountryTally(config)
        self._placements: dict[tuple[str, int], NDArray[np.int64]] = {}

    def add(self, rows: HistoryRows, told: Circumstances, attribution: Attribution) -> None:
        """Add what some users did."""
        self.items.add(rows, told, attribution)
        self.countries.add(rows, told.countries)
        for each in attribution.credits:
            totals = self._placements.setdefault((each.placement, each.slot), np.zeros(4, np.int64))
            totals += (each.exposures, each.clicks, each.conversions, each.dwell_ms)

    def acts(self, position: Position) -> list[ItemAct]:
        """Return what items gain, one act for each."""
        countries = self.countries.counters()
        return [
            ItemAct(position, ordinal, "", UNKNOWN_TIME, extra=entries, local=tuple(countries.get(ordinal, ())))
            for ordinal, entries in self.items.counters()
        ]

    def credits(self, position: Position) -> list[PlacementCredit]:
        """Return what placements gain, one for each slot."""
        return [PlacementCredit(position, *where, *totals.tolist()) for where, totals in self._placements.items()]


class ImportFold(NamedTuple):
    """What folding an import made: how many rows there were, the writes that finish it, and a letter if it failed.

    `items` and `countries`: the activity, as entries, of what changed, by ordinal, and by ordinal and country; `acts`:
    what goes to the items' log instead, where there is one. `credits`: what placements gained.
    """

    rows: int
    last: list[StateWrite]
    items: Mapping[int, bytes] = {}
    countries: Mapping[tuple[int, str], bytes] = {}
    acts: Sequence[ItemAct] = ()
    credits: Sequence[PlacementCredit] = ()
    letter: DeadLetter | None = None


async def fold_import(
    position: Position,
    marker: Imported,
    lake: Path,
    state: StateStore,
    standing: Position,
    config: FoldConfig,
    log: EventLog,
    forward: bool = False,
) -> ImportFold:
    """Fold an import's columns into users and items, in writes that a crash and a second run cannot count twice.

    Of the users, those that belong to the marker's partition in its epoch of `log`. A later marker of an import that
    was folded already changes nothing. Unreadable columns give a dead letter. `forward` gives acts for the items' log
    instead of item records. `standing`: the state's watermark, read before. The caller stores `last` together with the
    watermark.
    """
    done = await _folded_parts(position, marker.import_id, state, log)
    if position[:2] in done or (done and not log.capabilities.partitioned):
        return ImportFold(0, [])
    mine = _users_of(position, done, log) if log.capabilities.partitioned else None
    gained, rows = _Gained(config), 0
    try:
        for path in fold_parts(lake, marker.import_id):
            columns = await asyncio.to_thread(FoldColumns.load, path)
            for part in _slices(columns if mine is None else columns.of_users(mine)):
                rows += len(part)
                await _fold_users(part, position, state, standing, config, gained)
    except InvalidInput as error:
        letter = DeadLetter(position, f"import_unreadable: {error.detail[:300]}", encode_event(marker))
        return ImportFold(rows, [], letter=letter)
    acts = await asyncio.to_thread(gained.acts, position)
    made = ItemsFolded([], {}, {})
    if not forward:
        made, acts = await _fold_items(acts, position, state, standing, config), []
    key = import_key(marker.import_id, *position[:2])
    finish = [StateWrite(key, StateRecord(position, marker.source.encode() or b"-"))]
    return ImportFold(rows, finish, made.items, made.countries, acts, gained.credits(position))


async def _folded_parts(
    position: Position, import_id: str, state: StateStore, log: EventLog
) -> AbstractSet[tuple[int, int]]:
    """Return the epoch and partition of every part of an import that was folded, up to the epoch of a marker.

    All of an epoch is folded before anything of the next one: what is said of an older one is final.
    """
    parts = [
        (epoch, partition)
        for epoch, partitions in (await log.partitions()).items()
        if epoch <= position.epoch
        for partition in range(partitions)
    ]
    found = await state.read([import_key(import_id, *part) for part in parts], position.partition)
    return {part for part, record in zip(parts, found.records, strict=True) if record is not None}


def _users_of(position: Position, done: AbstractSet[tuple[int, int]], log: EventLog) -> Callable[[str], bool]:
    """Return what says of a user whether the marker at a position folds what the import holds of them."""
    older = {epoch for epoch, _ in done if epoch < position.epoch}

    def mine(user_id: str) -> bool:
        if log.partition_of(user_id, position.epoch) != position.partition:
            return False
        return not any((epoch, log.partition_of(user_id, epoch)) in done for epoch in older)

    return mine


def _slices(columns: FoldColumns) -> Iterator[FoldColumns]:
    """Cut columns between users into pieces of some thousand rows, so that other work gets its turn."""
    first, total = 0, len(columns.users)
    while first < total:
        full = int(np.searchsorted(columns.starts, columns.starts[first] + _ROWS, side="right")) - 1
        last = max(min(full, first + _USERS, total), first + 1)
        yield columns.slice(first, last)
        first = last


async def _fold_users(
    part: FoldColumns, position: Position, state: StateStore, standing: Position, config: FoldConfig, gained: _Gained
) -> None:
    """Fold some users, leaving those that hold the import already."""
    view = await state.read([user_key(user) for user in part.users], position.partition)
    writes = await asyncio.to_thread(_user_writes, part, view.records, position, config, gained)
    if writes:
        await state.write(writes, standing, standing)


def _user_writes(
    part: FoldColumns,
    stored: Sequence[StateRecord | None],
    position: Position,
    config: FoldConfig,
    gained: _Gained,
) -> list[StateWrite]:
    """Return the records of users that stand before `position`, joined with the import's rows; note what others gain.

    What items and placements gain is made of the import's rows alone, so a second run makes it again.
    """
    rows = HistoryRows(part.ordinals, part.timestamps, part.types, part.values, part.names)
    told, owners = part.told or Circumstances.unknown(len(rows)), owners_of(part.starts)
    attribution = attribute(rows, owners, told, config, position)
    brought = [_profile_decoder.decode(data) if data else None for data in part.profiles] or [None] * len(part.users)
    known = [decode_user(before.value) if before is not None else None for before in stored]
    profiles = [new or (record.profile if record else None) for new, record in zip(brought, known, strict=True)]
    gained.add(rows, told.in_countries(owners, map(country_of_profile, profiles)), attribution)
    writes = []
    added = bulk_users(rows, part.starts, brought, config, told, attribution)
    for user, before, record, joining in zip(part.users, stored, known, added, strict=True):
        if user != NOBODY and (before is None or before.position < position):
            merged = merge_user(record, joining, config)
            writes.append(StateWrite(user_key(user), StateRecord(position, encode_user(merged))))
    return writes


async def _fold_items(
    acts: Sequence[ItemAct], position: Position, state: StateStore, standing: Position, config: FoldConfig
) -> ItemsFolded:
    """Fold into the records of items and countries, leaving those that hold the import already; return what changed."""
    found = ItemsFolded([], {}, {})
    for start in range(0, len(acts), _ITEMS):
        made = await fold_acts(acts[start : start + _ITEMS], state, config, lambda _: position)
        found.items.update(made.items)
        found.countries.update(made.countries)
        await state.write(made.writes, standing, standing)
    return found

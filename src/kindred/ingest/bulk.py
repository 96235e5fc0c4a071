"""The fold of a bulk import: its columns become records that carry the marker's position."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from kindred.core.errors import InvalidInput
from kindred.core.event import Imported, encode_event
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.bulk import ItemTally, bulk_users
from kindred.features.changes import ItemAct
from kindred.features.groups import FoldConfig, import_key, item_key, user_key
from kindred.features.history import HistoryRows
from kindred.features.item_acts import Touched
from kindred.features.items import ItemRecord, decode_item, encode_item, fold_items
from kindred.features.users import UserRecord, decode_user, encode_user, merge_user
from kindred.ingest.fold_columns import NOBODY, FoldColumns, fold_parts
from kindred.ingest.items import items_active
from kindred.ports.log import DeadLetter
from kindred.ports.state import StateRecord, StateStore, StateWrite

_ROWS = 50_000
_USERS = 1_000
_ITEMS = 500
_profile_decoder = msgspec.msgpack.Decoder(Profile)


class ImportFold(NamedTuple):
    """What folding an import made: the activity, as entries, of changed items by ordinal, the rows, the writes that
    finish it, and a letter if it failed.

    `acts`: what goes to the items' log instead, where there is one.
    """

    items: dict[int, bytes]
    rows: int
    last: list[StateWrite]
    letter: DeadLetter | None = None
    acts: Sequence[ItemAct] = ()


async def fold_import(
    position: Position,
    marker: Imported,
    lake: Path,
    state: StateStore,
    config: FoldConfig,
    mine: Callable[[str], bool] | None = None,
    forward: bool = False,
) -> ImportFold:
    """Fold an import's columns into users and items, in writes that a crash and a second run cannot count twice.

    A later marker of an import that was folded already changes nothing. Unreadable columns give a dead letter.
    `mine` chooses the users of this partition; `forward` gives acts for the items' log instead of item records.
    The caller stores `last` together with the watermark.
    """
    key = import_key(marker.import_id, position.partition)
    done = (await state.read([key], position.partition)).records[0]
    if done is not None:
        return ImportFold({}, 0, [])
    tally, rows = ItemTally(config), 0
    try:
        for path in fold_parts(lake, marker.import_id):
            columns = await asyncio.to_thread(FoldColumns.load, path)
            for part in _slices(columns if mine is None else columns.of_users(mine)):
                rows += len(part)
                await _fold_users(part, position, state, config, tally)
    except InvalidInput as error:
        letter = DeadLetter(position, f"import_unreadable: {error.detail[:300]}", encode_event(marker))
        return ImportFold({}, rows, [], letter)
    counted = await asyncio.to_thread(lambda: list(tally.counters()))
    items: dict[int, bytes] = {}
    acts = [ItemAct(position, ordinal, "", -1, extra=counters) for ordinal, counters in counted]
    if not forward:
        items, acts = await _fold_items(acts, position, state, config), []
    finish = [StateWrite(key, StateRecord(position, marker.source.encode() or b"-"))]
    return ImportFold(items, rows, finish, acts=acts)


def _slices(columns: FoldColumns) -> Iterator[FoldColumns]:
    """Cut columns between users into pieces of some thousand rows, so that other work gets its turn."""
    first, total = 0, len(columns.users)
    while first < total:
        full = int(np.searchsorted(columns.starts, columns.starts[first] + _ROWS, side="right")) - 1
        last = max(min(full, first + _USERS, total), first + 1)
        low, high = int(columns.starts[first]), int(columns.starts[last])
        yield FoldColumns(
            columns.users[first:last],
            columns.starts[first : last + 1] - low,
            columns.ordinals[low:high],
            columns.timestamps[low:high],
            columns.types[low:high],
            columns.values[low:high],
            columns.names,
            columns.profiles[first:last],
        )
        first = last


async def _fold_users(
    part: FoldColumns, position: Position, state: StateStore, config: FoldConfig, tally: ItemTally
) -> None:
    """Fold some users, leaving those that hold the import already."""
    view = await state.read([user_key(user) for user in part.users], position.partition)
    writes = await asyncio.to_thread(_user_writes, part, view.records, position, config)
    rows = HistoryRows(part.ordinals, part.timestamps, part.types, part.values, part.names)
    await asyncio.to_thread(tally.add, rows)
    if writes:
        await state.write(writes, view.watermark)


def _user_writes(
    part: FoldColumns, stored: Sequence[StateRecord | None], position: Position, config: FoldConfig
) -> list[StateWrite]:
    """Return the records of users that stand before `position`, joined with the import's rows."""
    rows = HistoryRows(part.ordinals, part.timestamps, part.types, part.values, part.names)
    profiles = [_profile_decoder.decode(data) if data else None for data in part.profiles]
    writes = []
    for user, before, added in zip(part.users, stored, bulk_users(rows, part.starts, profiles, config), strict=True):
        if user == NOBODY or (before is not None and before.position >= position):
            continue
        known: UserRecord | None = decode_user(before.value) if before is not None else None
        merged = merge_user(known, added, config)
        writes.append(StateWrite(user_key(user), StateRecord(position, encode_user(merged))))
    return writes


async def _fold_items(
    acts: Sequence[ItemAct], position: Position, state: StateStore, config: FoldConfig
) -> dict[int, bytes]:
    """Fold into the items' records, leaving those that hold the import already; return what is active of them now."""
    found: dict[int, bytes] = {}
    for start in range(0, len(acts), _ITEMS):
        piece = acts[start : start + _ITEMS]
        view = await state.read([item_key(act.item) for act in piece], position.partition)
        records = [decode_item(before.value) if before else ItemRecord() for before in view.records]
        folded = fold_items([Touched(record, [act]) for record, act in zip(records, piece, strict=True)], config)
        now = [after or before for before, after in zip(records, folded, strict=True)]
        writes = [
            StateWrite(item_key(act.item), StateRecord(position, encode_item(after)))
            for act, after in zip(piece, folded, strict=True)
            if after is not None
        ]
        found.update(zip([act.item for act in piece], items_active(now), strict=True))
        await state.write(writes, view.watermark)
        await asyncio.sleep(0)
    return found

"""A state that one fold of several partitions writes alone: its items' records move on with every write."""

from collections.abc import Sequence
from typing import Any, cast

from kindred.core.position import Position
from kindred.features.groups import ITEM, ITEM_COUNTRY
from kindred.ports.state import StateRecord, StateStore, StateWrite


class _CountedItems:
    """Gives items' records the number of their writes as position.

    Positions of several partitions have no order in time: an act of partition 0 that is folded after one of partition 1
    would stand behind it, and be refused. The numbers lie below all positions of an items' log, whose fold takes over.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        keys = [key for key, _ in writes if key.group in (ITEM, ITEM_COUNTRY)]
        stored = dict(zip(keys, (await self._state.read(keys)).records, strict=True)) if keys else {}
        return await self._state.write(
            [
                each._replace(record=_next(stored[each.key], each.record)) if each.key in stored else each
                for each in writes
            ],
            watermark,
            standing,
        )


def _next(stored: StateRecord | None, record: StateRecord) -> StateRecord:
    return StateRecord(Position(0, 0, 0 if stored is None else stored.position.offset + 1), record.value)


def counted_items(state: StateStore) -> StateStore:
    """Return `state` as a fold is to see it that folds the items of several partitions and is the only one to write."""
    return cast(StateStore, _CountedItems(state))

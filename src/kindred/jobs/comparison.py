"""Comparing two states of the same log record by record, while one of them goes on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.groups import ERASED, IMPORT, ITEM, ITEM_COUNTRY, PLACEMENT, USER
from kindred.features.items import decode_item
from kindred.features.users import decode_user
from kindred.ingest.exposures import EXPOSURE
from kindred.jobs.rebuild import Rebuild
from kindred.ports.state import StateKey, StateRecord, StateStore

GROUPS = (USER, ITEM, ITEM_COUNTRY, PLACEMENT, ERASED, IMPORT, EXPOSURE)
"""All groups but the trending lists, which follow the clock."""

_OF_ONE_PARTITION = (USER, PLACEMENT)
_ROUNDS = 20
_CALM = 3
_PAUSE = 0.2
_NAMED = 1_000


@dataclass(slots=True)
class Comparison:
    """What a comparison found: records compared by group, and the keys (at most 1,000 named) whose values differ.

    `positions`: where the fold built anew stands, by partition. `total` counts all keys that differ.
    """

    compared: dict[str, int] = field(default_factory=dict)
    differing: list[StateKey] = field(default_factory=list)
    total: int = 0
    positions: dict[int, Position] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Say whether every record has the same value in both."""
        return self.total == 0


async def compare(rebuild: Rebuild, live: StateStore, partitions: Sequence[int]) -> Comparison:
    """Bring the rebuild to where the live state stands and compare all records' values at the same position.

    The live fold may go on meanwhile: a record that it has moved on since is compared at the position it moved to.
    """
    bounds = await _watermarks(live, partitions)
    await rebuild.fold_to(bounds)
    report = Comparison(positions=bounds)
    suspects: list[StateKey] = []
    for group in GROUPS:
        suspects += await _scan(group, rebuild.fresh, live, report)
    calm = 0
    for _ in range(_ROUNDS):
        if not suspects:
            break
        suspects = await _follow(suspects, rebuild, live, len(partitions) == 1)
        now = await _watermarks(live, partitions)
        # Items of a fleet come a moment after their users.
        calm = calm + 1 if now == bounds else 0
        if calm == _CALM:
            break
        bounds = now
        await rebuild.fold_to(bounds)
        if suspects:
            await asyncio.sleep(_PAUSE)
            suspects = [key for key in suspects if not await _same(key, rebuild.fresh, live)]
    report.total, report.differing, report.positions = len(suspects), suspects[:_NAMED], bounds
    return report


async def _watermarks(state: StateStore, partitions: Sequence[int]) -> dict[int, Position]:
    return {partition: await state.watermark(partition) for partition in partitions}


async def _scan(group: str, fresh: StateStore, live: StateStore, report: Comparison) -> list[StateKey]:
    """Go through a group in both, in order of key; return the keys whose values differ."""
    found: list[StateKey] = []
    mine, theirs = fresh.scan(group), live.scan(group)
    left, right = await anext(mine, None), await anext(theirs, None)
    count = 0
    while left is not None or right is not None:
        count += 1
        if right is None or (left is not None and left[0].encode() < right[0].encode()):
            found.append(StateKey(group, left[0] if left else ""))
            left = await anext(mine, None)
        elif left is None or right[0].encode() < left[0].encode():
            found.append(StateKey(group, right[0]))
            right = await anext(theirs, None)
        else:
            if not same_value(group, left[1].value, right[1].value):
                found.append(StateKey(group, left[0]))
            left, right = await anext(mine, None), await anext(theirs, None)
    report.compared[group] = count
    return found


async def _follow(keys: Sequence[StateKey], rebuild: Rebuild, live: StateStore, single: bool) -> list[StateKey]:
    """Compare records that the live fold has moved, each at the very position that it was moved to."""
    moved: list[tuple[Position, StateKey, bytes]] = []
    left: list[StateKey] = []
    for key in keys:
        record = await _one(live, key)
        here = await rebuild.fresh.watermark(record.position.partition if record else 0)
        exact = record is not None and (single or key.group in _OF_ONE_PARTITION) and record.position > here
        if record is not None and exact:
            moved.append((record.position, key, record.value))
        else:
            left.append(key)
    for position, key, value in sorted(moved):
        reached = await rebuild.fresh.watermark(position.partition)
        if reached < position:
            await rebuild.fold_to(
                {**dict.fromkeys(rebuild.partitions, Position(-1, 0, 0)), position.partition: position}
            )
        built = await _one(rebuild.fresh, key)
        if built is None or not same_value(key.group, built.value, value):
            left.append(key)
    return [key for key in left if not await _same(key, rebuild.fresh, live)]


async def _same(key: StateKey, fresh: StateStore, live: StateStore) -> bool:
    left, right = await _one(fresh, key), await _one(live, key)
    return same_value(key.group, left.value if left else b"", right.value if right else b"")


async def _one(state: StateStore, key: StateKey) -> StateRecord | None:
    return (await state.read([key])).records[0]


def same_value(group: str, left: bytes, right: bytes) -> bool:
    """Say whether two records of a group hold the same, whatever numbers they give to event types internally."""
    if left == right:
        return True
    try:
        return bool(_plain(group, left) == _plain(group, right))
    except (InvalidInput, msgspec.DecodeError):
        return False


def _plain(group: str, value: bytes) -> Any:
    if group == ITEM:
        return decode_item(value)
    if group != USER:
        return msgspec.msgpack.decode(value, strict=False)
    record = decode_user(value)
    if record is None:
        return None
    return msgspec.structs.replace(record, types=[], codes=b""), record.rows().event_types()


def describe(report: Comparison) -> Mapping[str, object]:
    """Return a comparison as a plain mapping, for machines."""
    return {
        "equal": report.equal,
        "compared": report.compared,
        "differing": report.total,
        "keys": [{"group": key.group, "key": key.key} for key in report.differing],
        "positions": [str(place) for _, place in sorted(report.positions.items())],
    }

"""Impressions and outcomes joined: which slot of which placement gets the click, the purchase and the time."""

from pathlib import Path

import msgspec
import numpy as np
from tests.integration.ingest.stores import NOW, World, happened

from kindred.core.event import EventContext, Interaction
from kindred.features.groups import placement_key
from kindred.features.item_blocks import read_blocks, total
from kindred.features.item_counters import CREDITED_CLICKS, CREDITED_CONVERSIONS, CREDITED_DWELL_MS, EXPOSURES
from kindred.features.placements import decode_placement

MINUTE, HOUR = 60_000, 3_600_000
ITEMS = ["i0", "i1", "i2"]


def told(number: int, kind: str, item: str, at: int, user: str = "ann", **said: object) -> Interaction:
    """Return an event; what is no metadata is its context."""
    context = {name: said.pop(name) for name in ("request_id", "placement", "position") if name in said}
    event = happened(number, user, item, kind, at=at, **said)
    return msgspec.structs.replace(event, context=EventContext(**context))


async def totals(world: World, placement: str) -> dict[int, list[int]]:
    """Return exposures, clicks, conversions and ms of dwell of each slot that has any."""
    stored = (await world.state.read([placement_key(placement, 0)])).records[0]
    columns = decode_placement(stored.value if stored is not None else b"").columns()
    return {slot: columns[:, slot].tolist() for slot in np.flatnonzero(columns.any(axis=0)).tolist()}


async def of_items(world: World) -> list[list[int]]:
    """Return exposures, credited clicks, conversions and ms of dwell of each item."""
    blocks = read_blocks([(await world.item(item)).cells for item in ITEMS])
    codes = (EXPOSURES, CREDITED_CLICKS, CREDITED_CONVERSIONS, CREDITED_DWELL_MS)
    return np.stack([total(blocks, code) for code in codes], axis=1).tolist()


async def test_outcomes_go_to_the_slot_that_showed_the_item(tmp_path: Path) -> None:
    """By request where one is named, else to the last exposure of the last day; once for each exposure and kind."""
    world = World(tmp_path)
    shown = {"items": ITEMS, "request_id": "r1", "placement": "home", "position": 4}
    late = {"request_id": "r2", "placement": "cart", "position": 30}
    await world.record(
        told(0, "impression", "", NOW - HOUR, **shown),
        told(1, "impression", "", NOW - HOUR + 1, **shown),
        told(2, "click", "i1", NOW - HOUR + MINUTE, request_id="r1"),
        told(3, "click", "i1", NOW - HOUR + 2 * MINUTE),
        told(4, "view", "i1", NOW - HOUR + 3 * MINUTE, request_id="r1", watch_duration=30.5),
        told(5, "view", "i1", NOW - HOUR + 4 * MINUTE, watch_duration=1),
        told(6, "purchase", "i2", NOW - HOUR + 5 * MINUTE),
        told(7, "click", "i0", NOW - HOUR + 6 * MINUTE, request_id="another"),
        told(8, "click", "i0", NOW - 2 * HOUR, request_id="r1"),
        # Of another user: the click is heard of before what it is due to, and nothing else is.
        told(9, "click", "i0", NOW - MINUTE, user="bob", request_id="r2"),
        told(10, "impression", "i0", NOW - 2 * MINUTE, user="bob", **late),
        told(11, "purchase", "i1", NOW, user="eve"),
    )
    await world.drain()
    assert await totals(world, "home") == {4: [1, 0, 0, 0], 5: [1, 1, 0, 31_500], 6: [1, 0, 1, 0]}
    assert await totals(world, "cart") == {19: [1, 1, 0, 0]}
    assert await of_items(world) == [[2, 1, 0, 0], [1, 1, 0, 31_500], [1, 0, 1, 0]]


async def test_nothing_is_due_to_what_was_shown_more_than_a_day_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.record(
        *(told(n, "impression", item, NOW - 23 * HOUR, placement="home") for n, item in enumerate(ITEMS)),
        told(3, "click", "i0", NOW),
        msgspec.structs.replace(told(4, "click", "i1", NOW + 2 * HOUR), ingested_at=NOW + 2 * HOUR),
    )
    await world.drain()
    assert await totals(world, "home") == {0: [3, 1, 0, 0]}

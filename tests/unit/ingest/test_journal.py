"""The way into the log: durable first, then the wake-up."""

import pytest

from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.core.errors import Overloaded
from kindred.core.event import ItemDeleted, ProfileErased, decode_event
from kindred.core.position import START, Position
from kindred.ingest.journal import Journal

STAMP = {"event_id": "e", "timestamp": 5, "ingested_at": 5}
EVENTS = [ItemDeleted(**STAMP, item_id="i"), ProfileErased(**STAMP, user_id="u")]


async def test_events_are_appended_in_order_and_the_consumer_is_woken():
    """Each event has its position, and the log holds it."""
    log, woken = MemoryEventLog(), []
    positions = await Journal(log, lambda: woken.append(log._epochs[0][0].next)).record(EVENTS)
    assert positions == [Position(0, 0, 0), Position(0, 0, 1)]
    assert [decode_event(record.data) for record in await log.read(START, 10)] == EVENTS
    assert woken == [2]


async def test_nothing_to_record_touches_nothing():
    """An empty list is no append."""
    woken = []
    assert await Journal(MemoryEventLog(), lambda: woken.append(1)).record([]) == []
    assert woken == []


async def test_a_full_queue_is_passed_on_and_nobody_is_woken():
    """Nothing was claimed, and the caller learns when to try again."""

    class Full(MemoryEventLog):
        async def append(self, records):
            raise Overloaded("the queue is full", retry_after=3)

    woken = []
    with pytest.raises(Overloaded) as caught:
        await Journal(Full(), lambda: woken.append(1)).record(EVENTS)
    assert caught.value.retry_after == 3
    assert woken == []

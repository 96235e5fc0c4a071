"""Killed at any moment, the server keeps every event that it acknowledged, once."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.inside import (
    EVERYTHING,
    assert_equals_a_rebuild,
    is_folded,
    item_counts,
    logged,
    opened,
    user_records,
)
from tests.e2e.platform.server import Server, eventually_async
from tests.integration.durability.senders import USERS, Sender, Told, first_time

from kindred.core.event import Interaction

SENDERS = 4


async def kill_under_fire(server: Server, told: Told, kills: int) -> None:
    """Kill and restart the server under concurrent senders, each time after some events were acknowledged."""
    dice = random.Random(7)
    stop = asyncio.Event()
    base = first_time()
    async with server.async_client() as client:
        senders = [asyncio.create_task(Sender(number, base, told).run(client, stop)) for number in range(SENDERS)]
        for _ in range(kills):
            enough = len(told.acknowledged) + 20
            while len(told.acknowledged) < enough:
                await asyncio.sleep(0.002)
            await asyncio.sleep(dice.random() * 0.2)
            server.kill()
            await asyncio.to_thread(server.start)
        stop.set()
        await asyncio.gather(*senders)


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])])
async def test_every_acknowledged_event_survives_kills_once(
    empty_home: Path, start_bare: StartServer, kills: int
) -> None:
    server, told = start_bare(empty_home), Told()
    await kill_under_fire(server, told, kills)
    assert told.uncertain, "no kill met an event in flight: the test proved nothing"
    async with opened(empty_home) as stores:
        await eventually_async(lambda: is_folded(stores))
        by_position = dict(await logged(stores.log))
        for timestamp, position in told.acknowledged.items():
            event = by_position[position]
            assert isinstance(event, Interaction)
            assert event.timestamp == timestamp
        history = {user: await stores.interactions.by_user(user, EVERYTHING) for user in USERS}
        times = Counter(row.timestamp for rows in history.values() for row in rows)
        missing = told.acknowledged.keys() - times.keys()
        assert not missing
        assert times.keys() <= told.acknowledged.keys() | told.uncertain
        assert max(times.values()) == 1
        for user, rows in history.items():
            for row in rows:
                assert told.sent[row.timestamp or 0]["user_id"] == user
        records = await user_records(stores)
        assert {user: records[user].interactions for user in USERS} == {
            user: len(rows) for user, rows in history.items()
        }
        sides = Counter(row.event_type for rows in history.values() for row in rows)
        assert await item_counts(stores) == sides
        assert not await stores.dead_letters.letters(None, 10)
    await asyncio.to_thread(assert_equals_a_rebuild, empty_home)

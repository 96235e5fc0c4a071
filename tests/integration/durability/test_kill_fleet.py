"""Servers, consumers, the broker and Redis killed at any moment: every acknowledged event is there and folded once."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from tests.e2e.platform.fleet import FLEET, Consumer, Platform, platform
from tests.e2e.platform.inside import EVERYTHING, assert_equals_a_rebuild, is_folded, item_counts, opened, user_records
from tests.e2e.platform.server import Server, eventually_async
from tests.integration.durability.senders import USERS, Sender, Told, first_time

__all__ = ["platform"]

SENDERS = 3
SESSION_SECONDS = 6.0


class Chaos:
    """Two servers and two consumers on a fleet, and what happens to them."""

    def __init__(self, made: Platform, seed: int) -> None:
        self.made, self.dice = made, random.Random(seed)
        self.servers: list[Server] = [made.server(), made.server()]
        self.consumers: list[Consumer] = [made.consumer(), made.consumer()]

    def strike(self) -> str:
        """Kill something, or freeze a consumer past its session, and bring it back; return what it was."""
        kind = self.dice.choice(["server", "server", "consumer", "consumer", "consumer", "broker", "redis", "zombie"])
        match kind:
            case "server":
                struck = self.dice.choice(self.servers)
                struck.kill()
                struck.start()
            case "consumer":
                found = self.dice.choice(self.consumers)
                found.kill()
                found.start()
            case "zombie":
                zombie = self.dice.choice(self.consumers)
                zombie.signal(signal.SIGSTOP)
                time.sleep(SESSION_SECONDS + 2)
                zombie.signal(signal.SIGCONT)
            case _:
                engine = self.made.engines["kafka" if kind == "broker" else "state"]
                engine.kill()
                engine.start()
        return kind


async def chaos_under_fire(chaos: Chaos, told: Told, strikes: int) -> Counter[str]:
    """Strike again and again under senders, each time after some events were acknowledged."""
    stop, base, done = asyncio.Event(), first_time(), Counter[str]()
    clients = [server.async_client() for server in chaos.servers]
    senders = [
        asyncio.create_task(Sender(number, base, told).run(clients[number % 2], stop)) for number in range(SENDERS)
    ]
    for _ in range(strikes):
        enough = len(told.acknowledged) + 20
        while len(told.acknowledged) < enough:
            assert not any(sender.done() for sender in senders), [
                sender.exception() for sender in senders if sender.done()
            ]
            await asyncio.sleep(0.005)
        await asyncio.sleep(chaos.dice.random() * 0.3)
        done[await asyncio.to_thread(chaos.strike)] += 1
    stop.set()
    await asyncio.gather(*senders)
    for client in clients:
        await client.aclose()
    return done


async def all_there_once(made: Platform, told: Told, before: Counter[str] | None = None) -> None:
    """Compare what clients were told with history, users' records and items' records, which held `before`."""
    async with opened(made.home) as stores:
        await eventually_async(lambda: is_folded(stores), 90, 0.2)
        history = {user: await stores.interactions.by_user(user, EVERYTHING) for user in USERS}
        times = Counter(row.timestamp for rows in history.values() for row in rows)
        assert not told.acknowledged.keys() - times.keys()
        assert times.keys() <= told.acknowledged.keys() | told.uncertain
        # What was sent again without an answer to the first try carries an id: the second one was a duplicate.
        assert max(times.values()) == 1
        records = await user_records(stores)
        assert {user: records[user].interactions if user in records else 0 for user in USERS} == {
            user: len(rows) for user, rows in history.items()
        }
        sides = Counter(row.event_type for rows in history.values() for row in rows)
        assert await item_counts(stores) == sides + (before or Counter())
        assert not await stores.dead_letters.letters(None, 10)


@pytest.mark.parametrize(
    "strikes",
    [
        pytest.param(20, marks=pytest.mark.timeout(600)),
        pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3_600)]),
    ],
)
async def test_every_acknowledged_event_survives_a_fleet_under_fire(
    platform: Callable[[str], Platform], strikes: int
) -> None:
    made, told = platform(FLEET), Told()
    chaos = await asyncio.to_thread(Chaos, made, 11)
    done = await chaos_under_fire(chaos, told, strikes)
    assert {"server", "consumer", "broker", "redis", "zombie"} <= done.keys()
    await all_there_once(made, told)
    await asyncio.to_thread(assert_equals_a_rebuild, made.home)

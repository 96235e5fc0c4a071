"""A store that is away under load: nothing acknowledged is lost, answers go on, and all recovers by itself."""

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.e2e.platform.fleet import FLEET, Platform, platform
from tests.e2e.platform.inside import item_counts, opened
from tests.e2e.platform.server import Server, eventually_async, kindred
from tests.integration.durability.senders import Sender, Told, first_time
from tests.integration.durability.test_kill_fleet import all_there_once

__all__ = ["platform"]

SENDERS = 3


async def asked(server: Server) -> dict[str, object]:
    """Ask for a slate; an answer must come."""
    async with server.async_client() as client:
        answer = await client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 5})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.parametrize("seconds", [8, 60])
@pytest.mark.parametrize("engine", ["state", "kafka", "postgres", "cache"])
async def test_a_store_is_away_for_a_while(platform: Callable[[str], Platform], engine: str, seconds: int) -> None:
    """The server process is killed and comes back with its data."""
    made, told = platform(FLEET), Told()
    await asyncio.to_thread(kindred, made.home, "import", "--sample", timeout=200)
    await asyncio.to_thread(kindred, made.home, "train", timeout=200)
    async with opened(made.home) as stores:
        imported = await item_counts(stores)
    server = await asyncio.to_thread(made.server)
    await asyncio.to_thread(made.consumer)
    stop, base = asyncio.Event(), first_time()
    async with server.async_client() as client:
        senders = [asyncio.create_task(Sender(number, base, told).run(client, stop)) for number in range(SENDERS)]
        await eventually_async(lambda: asyncio.sleep(0, len(told.acknowledged) > 200))
        await asyncio.to_thread(made.engines[engine].kill)
        before, end = len(told.acknowledged), time.monotonic() + seconds
        marks = set()
        while time.monotonic() < end:
            said = await asked(server)
            assert said["recommendations"], said
            marks |= set(said["degraded"])  # type: ignore[call-overload]
            await asyncio.sleep(0.2)
        if engine == "state":
            assert marks
        if engine != "kafka":
            assert len(told.acknowledged) > before
        await asyncio.to_thread(made.engines[engine].start)
        after = len(told.acknowledged)
        await eventually_async(lambda: asyncio.sleep(0, len(told.acknowledged) > after + 50), 60)
        stop.set()
        await asyncio.gather(*senders)

    async def whole() -> bool:
        return (await asked(server))["degraded"] == []

    await eventually_async(whole, 60, 0.2)
    await all_there_once(made, told, imported)

"""Walks through pages over several servers, with events and swaps between pages: no repeat, no filter broken."""

import asyncio
import random
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.server import ids
from tests.e2e.test_swaps import another_bundle

from kindred.adapters.local.models import LocalModelStore

PAGES = 10
WALKERS = 8
WALKS_A_SWAP = 10
COUNT = 10
ASKED = {
    "count": COUNT,
    "filters": {
        "category": ["Drama", "Comedy"],
        "min_rating": 2.5,
        "where": "year >= 1980 and not categories contains 'War' or title contains 'the'",
    },
}


@dataclass
class Seen:
    """What all walks met."""

    items: int = 0
    servers: set[int] = field(default_factory=set)
    bundles: set[str] = field(default_factory=set)
    swapped: int = 0


def kept(row: dict[str, Any]) -> bool:
    """Say whether an item satisfies all filters."""
    old = row["metadata"].get("year", 0) < 1980 or "War" in row["categories"]
    rated = row["metadata"]["rating"] >= 2.5
    return rated and bool({"Drama", "Comedy"} & set(row["categories"])) and (not old or "the" in row["title"].lower())


async def walk(clients: list[httpx.AsyncClient], dice: random.Random, seen: Seen) -> None:
    """Ask page after page, each from any server, and act on what each shows."""
    user = str(dice.randint(1, 610))
    shown: list[str] = []
    token: str | None = None
    bundle = ""
    for _ in range(PAGES):
        number = dice.randrange(len(clients))
        answer = await clients[number].post(
            "/api/v1/recommendations", json={"user_id": user, "page_token": token, **ASKED}
        )
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert all(map(kept, said["recommendations"])), said
        assert len(ids(said)) == COUNT, said["degraded"]
        assert ("bundle_changed" in said["degraded"]) == (bool(bundle) and said["model_version"] != bundle)
        seen.swapped += "bundle_changed" in said["degraded"]
        shown += ids(said)
        token, bundle = said["next_page_token"], said["model_version"]
        seen.servers.add(number)
        seen.bundles.add(bundle)
        event = {
            "user_id": user,
            "item_id": dice.choice(ids(said)),
            "event_type": dice.choice(["view", "like", "skip"]),
        }
        assert (await clients[number].post("/api/v1/track", json=event)).status_code == 202
    assert len(set(shown)) == len(shown) == PAGES * COUNT
    seen.items += len(shown)


@pytest.mark.parametrize(
    ("walks", "servers"), [pytest.param(1_000, 4, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])]
)
async def test_walks_over_servers_repeat_nothing(home: Path, start: StartServer, walks: int, servers: int) -> None:
    running = [start(home) for _ in range(servers)]
    store = LocalModelStore(home / "bundles")
    first = str(await store.active())
    versions = cycle([await another_bundle(store, first), first])
    clients = [server.async_client() for server in running]
    seen, room = Seen(), asyncio.Semaphore(WALKERS)

    async def one(number: int) -> None:
        async with room:
            await walk(clients, random.Random(number), seen)
            if number % WALKS_A_SWAP == 0:
                await store.activate(next(versions))

    async with asyncio.TaskGroup() as tasks:
        for number in range(walks):
            tasks.create_task(one(number))
    for client in clients:
        await client.aclose()
    assert seen.items == walks * PAGES * COUNT
    assert seen.servers == set(range(servers))
    assert len(seen.bundles) == 2
    assert seen.swapped > 0
    assert all(server.running for server in running)

"""Fifty swaps and roll-backs under load: no request fails, and each answer is the work of the one bundle it names."""

import asyncio
import shutil
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.server import Server, eventually_async, ids

from kindred.adapters.local.models import LocalModelStore
from kindred.models.arrays import load_json, save_json

SWAPS = 50
CLIENTS = 4


async def another_bundle(store: LocalModelStore, first: str) -> str:
    """Publish the active bundle again under another version, with a blend that knows popularity alone."""
    manifest, folder = await store.open(first)
    staged = await store.stage()
    shutil.copytree(folder, staged, dirs_exist_ok=True)
    (staged / "manifest.json").unlink()
    blend = load_json(staged / "blend", "blend", dict)
    blend["weights"] = {name: float(name == "popularity") for name in blend["weights"]}
    save_json(staged / "blend", "blend", blend)
    version = f"{first}-again"
    await store.publish(
        staged, msgspec.structs.replace(manifest, version=version, created=manifest.created + 1), activate=False
    )
    return version


async def ask(client: httpx.AsyncClient, user: str) -> tuple[str, tuple[str, ...]]:
    """Return which bundle answered, and what."""
    answer = await client.post(
        "/api/v1/recommendations", json={"user_id": user, "exploration": 0, "count": 10, "prefetch": True}
    )
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert not said["degraded"], said["degraded"]
    return said["model_version"], tuple(ids(said))


@pytest.mark.timeout(600)
async def test_no_request_fails_and_each_answer_is_of_the_bundle_it_names(home: Path, start: StartServer) -> None:
    server: Server = start(home)
    store = LocalModelStore(home / "bundles")
    first = str(await store.active())
    versions = [first, await another_bundle(store, first)]
    users = [str(1 + 7 * n) for n in range(CLIENTS)]
    expected: dict[tuple[str, str], tuple[str, ...]] = {}
    answered = dict.fromkeys(versions, 0)
    done = asyncio.Event()

    async def swapped(client: httpx.AsyncClient, version: str) -> None:
        await store.activate(version)

        async def there() -> bool:
            return (await ask(client, "nobody"))[0] == version

        await eventually_async(there, 60.0)

    async def load(client: httpx.AsyncClient, user: str) -> None:
        while not done.is_set():
            version, items = await ask(client, user)
            assert items == expected[version, user]
            answered[version] += 1

    async with server.async_client() as client:
        for version in (versions[1], versions[0]):
            await swapped(client, version)
            for user in users:
                expected[version, user] = (await ask(client, user))[1]
        assert all(expected[versions[0], user] != expected[versions[1], user] for user in users)
        async with asyncio.TaskGroup() as tasks:
            for user in users:
                tasks.create_task(load(client, user))
            for swap in range(SWAPS):
                await swapped(client, versions[(swap + 1) % 2])
            done.set()
    assert min(answered.values()) > SWAPS
    assert server.running

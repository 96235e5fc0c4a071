"""What a server says and keeps when things around it are wrong."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.inside import is_folded, logged, opened, user_record
from tests.e2e.platform.server import (
    Server,
    environment,
    eventually,
    eventually_async,
    ids,
    kindred,
    new_token,
    recommend,
    track,
)
from tests.engines.running import free_port

from kindred.cli.exits import Exit
from kindred.core.event import Interaction

FORBIDDEN = ("torch", "sklearn", "polars", "duckdb", "optuna", "implicit")


def problem(answer: httpx.Response, status: int) -> dict[str, object]:
    """Return the problem body of an answer with this status; fail the test when it is another answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    found: dict[str, object] = answer.json()
    assert found["status"] == status
    assert "Traceback" not in answer.text
    return found


def plainly(text: str) -> str:
    """Return what a process said, after seeing that it is no stack trace."""
    assert "Traceback" not in text, text
    return text


def test_without_a_bundle_it_says_what_to_do_and_takes_events(empty_home: Path, start_bare: StartServer) -> None:
    server = start_bare(empty_home)
    assert "kindred train" in str(problem(server.get("/health/ready"), 503)["detail"])
    assert server.get("/health/live").status_code == 200
    with server.client() as client:
        for answer in (
            client.post("/api/v1/recommendations", json={"user_id": "u"}),
            client.get("/api/v1/popular"),
            client.get("/api/v1/trending"),
            client.get("/api/v1/items/1/similar"),
        ):
            assert problem(answer, 503)["type"] == "/docs/errors#no_bundle"
        track(client, "u", "i")
        assert client.put("/api/v1/items/i", json={"title": "I"}).status_code == 200
        assert client.get("/api/v1/items/i").json()["title"] == "I"
    plainly(server.output())


def test_a_catalogue_that_became_empty_gives_empty_slates(empty_home: Path, start_bare: StartServer) -> None:
    server = start_bare(empty_home)
    with server.client() as client:
        items = [{"item_id": f"i{number}", "title": f"Thing {number}", "category": "c"} for number in range(3)]
        client.post("/api/v1/items", json={"items": items}).raise_for_status()
        for number in range(3):
            track(client, f"u{number}", f"i{number}", "like")
        kindred(empty_home, "train")
        eventually(lambda: server.get("/health/ready").status_code == 200)
        said = recommend(client, "u0")
        assert set(ids(said)) == {"i1", "i2"}
        for number in range(3):
            assert client.delete(f"/api/v1/items/i{number}").status_code == 200
        said = eventually(lambda: (found := recommend(client, "u0")) and not ids(found) and found)
        assert said["degraded"] == ["empty_catalogue"]
        assert client.get("/api/v1/popular").json()["items"] == []
        assert client.get("/api/v1/trending").json()["items"] == []
        assert client.get("/api/v1/items").json()["items"] == []


def damaged_bundle(home: Path, active: str) -> str:
    """Make a copy of the active bundle with one array cut short, point at it, and return its version."""
    version = f"{active}-cut"
    copy = shutil.copytree(home / "bundles" / active, home / "bundles" / version)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
    array = max(copy.rglob("*.npy"), key=lambda path: path.stat().st_size)
    with array.open("r+b") as file:
        file.truncate(array.stat().st_size // 2)
    (home / "bundles" / "ACTIVE").write_text(version)
    return version


def test_a_damaged_bundle_is_refused_and_the_old_one_goes_on_serving(home: Path, start: StartServer) -> None:
    server = start(home)
    good = (home / "bundles" / "ACTIVE").read_text().strip()
    with server.client() as client:
        assert recommend(client, "1")["model_version"] == good
        bad = damaged_bundle(home, good)
        eventually(lambda: "bundles_refused_total 1" in server.get("/metrics").text)
        assert server.get("/health/ready").status_code == 200
        assert recommend(client, "1")["model_version"] == good
    late = start(home)
    assert "bytes, the manifest says" in str(problem(late.get("/health/ready"), 503)["detail"])
    assert "bytes, the manifest says" in plainly(late.output())
    with late.client() as client:
        problem(client.post("/api/v1/recommendations", json={"user_id": "1"}), 503)
        track(client, "1", "1")
        refused = kindred(home, "models", "activate", bad, check=False)
        assert refused.returncode == Exit.NOT_READY
        assert "bytes, the manifest says" in plainly(refused.stderr)
        kindred(home, "models", "activate", good)
        eventually(lambda: late.get("/health/ready").status_code == 200)
        eventually(lambda: server.get("/health/ready").status_code == 200)
        assert recommend(client, "1")["model_version"] == good


async def test_a_full_disk_claims_nothing_and_loses_nothing(home: Path, start: StartServer) -> None:
    server = start(home)
    acknowledged, refused = set(), []
    with server.client() as client:
        for number in range(5):
            track(client, "u", "1", event_id=f"before-{number}")
            acknowledged.add(f"before-{number}")
        # A limit on the size of files is what a full disk is to a process, and it can be lifted from outside.
        room = max(path.stat().st_size for path in home.glob("log/*")) // 2
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        for number in range(30):
            event = {"user_id": "u", "item_id": "1", "event_type": "view", "event_id": f"full-{number}"}
            answer = client.post("/api/v1/track", json=event)
            if answer.status_code == 202:
                acknowledged.add(f"full-{number}")
            else:
                problem(answer, 503)
                assert int(answer.headers["retry-after"]) >= 1
                refused.append(f"full-{number}")
        assert len(refused) >= 20
        batch = client.post("/api/v1/track/batch", json={"events": [{**event, "event_id": "full-batch"}] * 3})
        assert int(batch.headers["retry-after"]) >= 1
        problem(batch, 503)
        assert recommend(client, "1")["recommendations"]
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for event_id in [*refused, "after"]:
            track(client, "u", "1", event_id=event_id)
    async with opened(home) as stores:
        await eventually_async(lambda: is_folded(stores))
        written = [event.event_id for _, event in await logged(stores.log) if isinstance(event, Interaction)]
        assert len(written) == len(set(written)), "an event that was answered by 503 was written all the same"
        assert set(written) == acknowledged | set(refused) | {"after"}
        record = await user_record(stores, "u")
        assert record is not None
        assert record.interactions == len(written)
    plainly(server.output())


def test_a_port_in_use_is_said(empty_home: Path, start_bare: StartServer) -> None:
    port = start_bare(empty_home).port
    refused = kindred(empty_home, "serve", "--port", str(port), check=False)
    assert refused.returncode == Exit.CONFLICT
    assert f"port {port}" in plainly(refused.stderr)


def test_a_log_that_cannot_be_written_is_said(empty_home: Path) -> None:
    with Server(empty_home, new_token(empty_home)) as server:
        with server.client() as client:
            track(client, "u", "i")
        assert server.stop() == 0
    log = empty_home / "log"
    for path in (*log.iterdir(), log):
        path.chmod(0o555 if path.is_dir() else 0o444)
    # The superuser passes permissions by, unless that ability is taken away.
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    command = [*without, sys.executable, "-m", "kindred", "serve", "--port", str(free_port())]
    try:
        refused = subprocess.run(
            command, env=environment(empty_home), capture_output=True, text=True, timeout=200, check=False
        )
    finally:
        log.chmod(0o755)
    assert refused.returncode == Exit.STORE
    assert str(log) in plainly(refused.stderr)
    assert "writ" in refused.stderr


_LOADED = """
import asyncio, json, sys

import httpx

from kindred.api.server import create_asgi
from kindred.app.app import build_app
from kindred.app.sections import SCHEMA
from kindred.settings.load import load_settings

async def main():
    app = await build_app(load_settings(SCHEMA))
    await app.start()
    transport = httpx.ASGITransport(app=create_asgi(app))
    headers = {"Authorization": "Bearer " + sys.argv[1]}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        answers = [
            await client.post("/api/v1/recommendations", json={"user_id": "1"}),
            await client.post("/api/v1/track", json={"user_id": "1", "item_id": "1", "event_type": "view"}),
            await client.put("/api/v1/items/n", json={"title": "New"}),
            await client.get("/api/v1/items/1/similar"),
            await client.get("/api/v1/trending"),
        ]
    await app.close()
    print(json.dumps([[answer.status_code for answer in answers], sorted(sys.modules)]))

asyncio.run(main())
"""


def test_a_server_loads_nothing_that_only_training_needs(home: Path, trained_token: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, trained_token],
        env=environment(home), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    statuses, modules = json.loads(done.stdout)
    assert statuses == [200, 202, 200, 200, 200]
    assert not [module for module in modules if module.partition(".")[0] in FORBIDDEN]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not show a process's maps")
def test_a_serving_process_maps_no_library_of_training(home: Path, start: StartServer) -> None:
    server = start(home)
    with server.client() as client:
        assert recommend(client, "1")["recommendations"]
        track(client, "1", "1")
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    assert "faiss" in maps, "the maps are not those of the server"
    assert not [name for name in FORBIDDEN if f"/{name}/" in maps]

"""Rules changed over HTTP: every server has them within moments, no request fails, each is under one version."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.server import Server, eventually, eventually_async, ids, kindred, recommend
from tests.engines.postgres import Postgres

PINNED = ("7", "100")
"""Items of the packaged data that nobody gets first without a rule."""
USER = "nobody"


def pinned(item: str) -> dict[str, Any]:
    """Return a document that pins an item to the first slot of home."""
    return {"home": {"rules": [{"kind": "pin", "items": [item], "slot": 1}]}}


def put(client: httpx.Client, placements: Any, expected: int, **more: Any) -> httpx.Response:
    """Make a version of the placements."""
    body = {"placements": placements, "expected_version": expected, **more}
    return client.put("/api/v1/placements", json=body)


def serving(server: Server) -> int:
    """Return which version a server answers under, as its metrics say."""
    lines = server.get("/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("kindred_placements_version ")).split()[1]))


async def test_two_servers_change_their_rules_together_under_load(home: Path, start: StartServer) -> None:
    """A request is answered under one version whole: what its trace names is what it shows."""
    servers = [start(home), start(home, words=("--no-consume",))]
    expected = {0: None, 1: PINNED[0], 2: PINNED[1], 3: PINNED[0], 4: None}
    seen: set[tuple[int, int]] = set()
    done = asyncio.Event()

    async def load(place: int, server: Server) -> None:
        async with server.async_client() as client:
            while not done.is_set():
                body = {"user_id": USER, "exploration": 0, "count": 5, "trace": True, "prefetch": True}
                answer = await client.post("/api/v1/recommendations", json=body)
                assert answer.status_code == 200, answer.text
                said = answer.json()
                version = said["trace"].get("placements_version", 0)
                first = said["recommendations"][0]
                want = expected[version]
                assert first["source"] == "promoted" if want else first["item_id"] not in PINNED, first
                assert want is None or first["item_id"] == want
                seen.add((place, version))

    async def there(version: int) -> None:
        async def all_have_it() -> bool:
            return {(place, version) for place in range(len(servers))} <= seen

        await eventually_async(all_have_it)

    async with asyncio.TaskGroup() as tasks, servers[0].async_client() as one, servers[1].async_client() as two:
        for place, server in enumerate(servers):
            tasks.create_task(load(place, server))
        await there(0)
        for version, client in enumerate((one, two)):
            body = {"placements": pinned(PINNED[version]), "expected_version": version}
            assert (await client.put("/api/v1/placements", json=body)).json()["changed"] == ["home"]
            await there(version + 1)
        for version, back in ((3, 1), (4, 0)):
            done_at = await two.post("/api/v1/placements/rollback", json={"version": back})
            assert done_at.json() == {"status": "stored", "version": version, "changed": ["home"]}
            await there(version)
        done.set()


def test_conflicts_and_bad_documents_change_nothing_and_a_command_changes_it_too(
    home: Path, start: StartServer, tmp_path: Path
) -> None:
    server = start(home)
    with server.client() as client:
        before = ids(recommend(client, USER))
        assert put(client, pinned(PINNED[0]), 0, note="over HTTP").status_code == 200
        # The server that made the version answers under it at once, whatever it has in reserve.
        assert ids(recommend(client, USER))[0] == PINNED[0]
        assert put(client, pinned(PINNED[1]), 0).status_code == 409
        bad = put(client, {"home": {"rules": [{"kind": "pin", "items": [PINNED[1]]}]}}, 1)
        assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (400, "/placements/home/rules/0")
        assert put(client, {"checkout": {}}, 1).json()["errors"][0]["pointer"] == "/placements/checkout"
        assert ids(recommend(client, USER))[0] == PINNED[0]

        file = tmp_path / "placements.toml"
        file.write_text(f'version = 1\n[[placements.home.rules]]\nkind = "pin"\nitems = ["{PINNED[1]}"]\nslot = 1\n')
        kindred(home, "placements", "set", str(file))
        eventually(lambda: ids(recommend(client, USER))[0] == PINNED[1])
        assert client.post("/api/v1/placements/rollback", json={"version": 0}).json()["version"] == 3
        assert ids(recommend(client, USER)) == before


def test_while_the_store_of_rules_is_down_the_last_version_goes_on_and_health_says_so(
    home: Path, start: StartServer, postgres_apart: Postgres
) -> None:
    url = postgres_apart.schema_url(home, timeout=2)
    server = start(home, KINDRED_STORES_RULES=url)
    with server.client() as client:
        assert put(client, pinned(PINNED[0]), 0).status_code == 200
        postgres_apart.kill()
        eventually(lambda: "goes on serving" in str(server.get("/health/ready").json().get("warnings")))
        assert server.get("/health/ready").status_code == 200
        assert ids(recommend(client, USER))[0] == PINNED[0]
        assert "kindred_placements_failures_total" in server.get("/metrics").text
        assert put(client, {}, 1).status_code == 503
        postgres_apart.start()
        eventually(lambda: "warnings" not in server.get("/health/ready").json())
        assert put(client, pinned(PINNED[1]), 1).status_code == 200
        assert (ids(recommend(client, USER))[0], serving(server)) == (PINNED[1], 2)

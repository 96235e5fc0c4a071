"""Several servers on one data folder: one folds, the others stand by, all of them learn and swap together."""

import asyncio
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.platform.fixtures import copy_folder
from tests.e2e.platform.inside import is_folded, opened, user_record
from tests.e2e.platform.server import (
    Server,
    eventually,
    eventually_async,
    ids,
    kindred,
    recommend,
    slate_after,
    track,
)

from kindred.adapters.local.leases import LocalLeases
from kindred.ingest.consumer import LEASE

FLEET = 4


@pytest.fixture(scope="module")
def fleet(trained_home: Path, trained_token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Run four servers on one copy of the trained folder."""
    home = copy_folder(trained_home, tmp_path_factory.mktemp("fleet") / "home")
    with ExitStack() as stack:
        servers = [Server(home, trained_token).launch() for _ in range(FLEET)]
        for server in servers:
            stack.callback(server.kill)
        yield [server.await_listening() for server in servers]


@pytest.fixture
def clients(fleet: list[Server]) -> Iterator[list[httpx.Client]]:
    """Return a client per running server."""
    with ExitStack() as stack:
        yield [stack.enter_context(server.client()) for server in fleet if server.running]


def consumer_pid(home: Path) -> int | None:
    """Return the process id of the lease's holder, or None."""
    holder = asyncio.run(LocalLeases(home / "leases").holder(LEASE))
    return None if holder is None else pid_of(holder)


def pid_of(holder: str) -> int:
    """Return the process id in the name of a lease's holder: host, process, number."""
    return int(holder.split(":")[1])


def roles(server: Server) -> list[str]:
    """Return what a server has told of its part in the consumer group, in order."""
    return re.findall(r"group consumer: this process is (\w+)", server.output())


def test_one_folds_and_the_others_stand_by(fleet: list[Server]) -> None:
    assert consumer_pid(fleet[0].home) in [server.pid for server in fleet]
    for server in fleet:
        eventually(lambda server=server: server.get("/health/ready").status_code == 200)
    # A server is ready before its consumer has looked who owns the log.
    eventually(lambda: all(roles(server) for server in fleet))
    assert sorted(map(roles, fleet)) == [["owner"]] + [["standby"]] * (FLEET - 1)
    found = json.loads(kindred(fleet[0].home, "doctor", "--json").stdout)
    (said,) = [finding["said"] for finding in found if finding["about"] == "consumer"]
    assert str(consumer_pid(fleet[0].home)) in said


def test_an_import_beside_the_servers_is_folded_by_the_one_that_folds(
    fleet: list[Server], clients: list[httpx.Client], tmp_path: Path
) -> None:
    rows = "".join(f"imported-{user},{item}\n" for user in range(3) for item in (1, 50, 260, 318, 527))
    (tmp_path / "orders.csv").write_text(f"who,what\n{rows}")
    (tmp_path / "orders.toml").write_text(
        'source = "orders"\n[interactions]\npath = "orders.csv"\n[interactions.columns]\n'
        'user_id = "who"\nitem_id = "what"\nevent_type = { constant = "purchase" }\n'
    )
    owner = consumer_pid(fleet[0].home)
    for times in (1, 2):
        report = json.loads(kindred(fleet[0].home, "import", str(tmp_path / "orders.toml"), "--json").stdout)
        assert (report["new"], report["known"]) == ((15, 0) if times == 1 else (0, 15))
        assert consumer_pid(fleet[0].home) == owner
        for client in clients:
            said = recommend(client, "imported-1", count=100)
            assert said["strategy"] == "standard"
            assert {"1", "50", "260", "318", "527"}.isdisjoint(ids(said))


def test_an_event_sent_to_any_server_changes_the_slates_of_all(clients: list[httpx.Client]) -> None:
    user = "everywhere"
    for sender in clients:
        before = [recommend(client, user) for client in clients]
        chosen = ids(before[0])[0]
        position = track(sender, user, chosen, "rating", metadata={"rating": 5.0})
        after = [slate_after(client, user, position) for client in clients]
        for old, new in zip(before, after, strict=True):
            assert chosen not in ids(new)
            assert ids(new) != ids(old)
        assert len({tuple(ids(each)) for each in after}) == 1


def test_an_item_sent_to_any_server_is_known_to_all(clients: list[httpx.Client]) -> None:
    for number, sender in enumerate(clients):
        body = {"title": f"Thing {number}", "category": f"shelf-{number}"}
        assert sender.put(f"/api/v1/items/thing-{number}", json=body).status_code == 200
        wanted = {"category": f"shelf-{number}"}
        for client in clients:
            eventually(lambda c=client, w=wanted, n=number: ids(recommend(c, "x", filters=w)) == [f"thing-{n}"])


async def test_a_standby_takes_over_when_the_consumer_is_killed(fleet: list[Server]) -> None:
    home = fleet[0].home
    holder = await LocalLeases(home / "leases").holder(LEASE)
    owner = next(server for server in fleet if holder and server.pid == pid_of(holder))
    rest = [server for server in fleet if server is not owner]
    users = [f"takeover-{number}" for number in range(20)]
    with rest[0].client() as client:
        for user in users[:10]:
            track(client, user, "1")
        owner.kill()
        for user in users[10:]:
            track(client, user, "1")
        async with opened(home) as stores:
            await eventually_async(lambda: is_folded(stores))
            for user in users:
                record = await user_record(stores, user)
                assert record is not None
                assert record.interactions == 1
    successor = await LocalLeases(home / "leases").holder(LEASE)
    assert successor is not None
    assert pid_of(successor) in [server.pid for server in rest]
    owner.start()


class Load:
    """Clients that ask every server all the time, and keep what went wrong and which bundles answered."""

    def __init__(self, servers: list[Server]) -> None:
        """Ask `servers`."""
        self._servers = servers
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.answers: list[tuple[float, int, str]] = []
        self._pool = ThreadPoolExecutor(len(servers))

    def __enter__(self) -> "Load":
        """Begin."""
        self._work = [self._pool.submit(self._ask, number) for number in range(len(self._servers))]
        return self

    def __exit__(self, *_: object) -> None:
        """End, and raise what the clients raised."""
        self._stop.set()
        for work in self._work:
            work.result()
        self._pool.shutdown()

    def _ask(self, number: int) -> None:
        with self._servers[number].client() as client:
            asked = 0
            while not self._stop.is_set():
                asked += 1
                body = {"user_id": str(1 + asked % 600), "count": 20, "prefetch": True}
                answer = client.post("/api/v1/recommendations", json=body)
                if answer.status_code != 200 or len(answer.json()["recommendations"]) != 20:
                    self.failures.append(answer.text[:500])
                    continue
                self.answers.append((time.monotonic(), number, answer.json()["model_version"]))
                # Servers that are asked without a pause leave a training, which gives way to them, no time at all.
                time.sleep(0.1)

    def served_since(self, moment: float) -> list[set[str]]:
        """Return which bundles each server answered from after `moment`."""
        found: list[set[str]] = [set() for _ in self._servers]
        for when, number, version in list(self.answers):
            if when >= moment:
                found[number].add(version)
        return found

    def all_on(self, version: str, since: float) -> bool:
        """Say whether every server has answered since `since`, and from `version` alone."""
        return all(bundles == {version} for bundles in self.served_since(since))


def active_bundle(home: Path) -> str:
    """Return the version that servers should use."""
    return (home / "bundles" / "ACTIVE").read_text().strip()


def await_swap(load: Load, version: str) -> None:
    """Wait until all servers answer from `version` and go on doing so."""

    def steady() -> bool:
        since = time.monotonic()
        time.sleep(0.3)
        return load.all_on(version, since)

    eventually(steady)


def test_a_new_bundle_and_a_rollback_reach_all_servers_without_a_failed_request(fleet: list[Server]) -> None:
    home = fleet[0].home
    first = active_bundle(home)
    with Load(fleet) as load:
        await_swap(load, first)
        kindred(home, "train")
        second = active_bundle(home)
        assert second != first
        await_swap(load, second)
        kindred(home, "models", "rollback")
        assert active_bundle(home) == first
        await_swap(load, first)
    assert not load.failures
    assert {version for _, _, version in load.answers} == {first, second}


def test_every_answer_comes_from_one_bundle(fleet: list[Server]) -> None:
    with fleet[0].client() as client:
        said: Any = recommend(client, "1", trace=True)
    assert said["model_version"] == active_bundle(fleet[0].home)
    assert said["trace"]["bundle"] == said["model_version"]


def test_all_servers_end_in_order_when_they_are_told(fleet: list[Server]) -> None:
    assert [server.stop() for server in fleet if server.running] == [0] * FLEET
    assert consumer_pid(fleet[0].home) is None
    assert os.path.exists(fleet[0].home / "log" / "events.sqlite")

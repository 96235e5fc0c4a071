"""`kindred run --workers`: servers on one port, a consumer and a timetable, whatever happens to each of them."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.e2e.platform.inside import is_folded, logged, opened, user_records
from tests.e2e.platform.server import environment, eventually, eventually_async, kindred, new_token, track

SECONDS = 90.0
# A child that dies again and again is started after ever longer pauses.
ROUNDS = 7


class Run:
    """One `kindred run --workers N`."""

    def __init__(self, home: Path, workers: int, **settings: str) -> None:
        """Start it; its words go to a file."""
        self._said = home.parent / "run.log"
        words = [sys.executable, "-m", "kindred", "run", "--port", "0", "--workers", str(workers)]
        with self._said.open("wb") as file:
            self.process = subprocess.Popen(words, env=environment(home, **settings), stdout=file, stderr=file)

    def output(self) -> str:
        """Return what it and its children said so far."""
        return self._said.read_text(errors="replace")

    def url(self) -> str:
        """Wait until everything is up, and return where it serves."""
        pattern = re.compile(r"^Kindred serves on (http://\S+) with \d+ servers", re.MULTILINE)
        found = eventually(lambda: self.process.poll() is not None or pattern.search(self.output()), SECONDS)
        assert found is not True, self.output()
        return str(found[1])

    def children(self, kind: str) -> set[int]:
        """Return the process ids of the children that run a command."""
        found = set()
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if kind in child.cmdline():
                    found.add(child.pid)
        return found

    def end(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def running(empty_home: Path) -> Iterator[Run]:
    """Run two workers on an untrained folder."""
    run = Run(empty_home, 2)
    yield run
    run.kill()


def counted(url: str, name: str) -> float:
    """Return the sum of a counter over its labels."""
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_what_dies_is_started_again_and_all_of_it_ends_in_order(running: Run, empty_home: Path) -> None:
    token = new_token(empty_home)
    url = running.url()
    client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    servers, consumers = running.children("serve"), running.children("consume")
    assert (len(servers), len(consumers)) == (2, 1)
    position = track(client, "u", "i")
    assert position.offset >= 0

    os.kill(min(servers), signal.SIGKILL)
    os.kill(min(consumers), signal.SIGKILL)
    # Whatever still serves takes the event, and the new consumer folds it.
    eventually(lambda: httpx.get(f"{url}/health/live", timeout=30).status_code == 200)
    eventually(lambda: len(running.children("serve") - servers) == 1, SECONDS)
    eventually(lambda: running.children("consume") - consumers, SECONDS)
    assert running.children("serve") & servers == {max(servers)}
    with httpx.Client(base_url=url, headers=client.headers, timeout=30) as fresh:
        track(fresh, "v", "i")
        # Both events are counted by whoever took them and by whoever folded them; the dead are not forgotten.
        eventually(lambda: counted(url, "kindred_events_recorded_total") == 2, SECONDS)
        eventually(lambda: counted(url, "kindred_events_folded_total") >= 1, SECONDS)
    assert re.search(r"server-\d ended with code -9; it is started again", running.output())
    assert re.search(r"consumer ended with code -9; it is started again", running.output())
    assert "server-1 | Kindred serves on" in running.output()
    client.close()

    everyone = running.children("serve") | running.children("consume")
    eventually(lambda: len(re.findall(r"server-\d \| Kindred serves on", running.output())) == 3, SECONDS)
    assert running.end() == 0, running.output()
    assert not [pid for pid in everyone if psutil.pid_exists(pid)]


async def test_calls_in_flight_end_and_no_durable_event_is_lost_when_it_is_told_to_end(
    running: Run, empty_home: Path
) -> None:
    headers = {"Authorization": f"Bearer {new_token(empty_home)}"}
    url = running.url()
    claimed, broken, stop = [0] * 8, [0] * 8, threading.Event()

    def send(number: int) -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            while not stop.is_set():
                body = {"user_id": f"u{number}", "item_id": "i", "event_type": "view"}
                try:
                    answer = client.post("/api/v1/track", json=body)
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    # An idle connection was closed under the call: nothing of it was read.
                    broken[number] += 1
                    return
                assert answer.status_code == 202, answer.text
                claimed[number] += 1

    clients = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for each in clients:
        each.start()
    try:
        eventually(lambda: min(claimed) >= 5, SECONDS)
        assert running.end() == 0, running.output()
    finally:
        stop.set()
        for each in clients:
            each.join()
    async with opened(empty_home) as stores:
        durable = len(await logged(stores.log))
        assert await is_folded(stores)
    assert durable >= sum(claimed)
    assert sum(broken) <= 8


def test_what_cannot_start_at_all_ends_the_run_with_its_code(empty_home: Path) -> None:
    (empty_home / "catalog.sqlite").mkdir()
    run = Run(empty_home, 2)
    try:
        assert run.process.wait(SECONDS) == 5, run.output()
    finally:
        run.kill()
    assert re.search(r"(server-\d|consumer) cannot start \(exit code 5\)", run.output())
    assert "catalog.sqlite" in run.output()


def test_a_port_in_use_is_said_and_the_children_end_when_their_parent_was_killed(
    running: Run, empty_home: Path
) -> None:
    port = running.url().rpartition(":")[2]
    taken = kindred(empty_home, "run", "--port", port, "--workers", "2", check=False)
    assert taken.returncode == 4
    assert f"port {port}" in taken.stderr
    everyone = [psutil.Process(pid) for kind in ("serve", "consume") for pid in running.children(kind)]
    assert len(everyone) == 3
    running.process.kill()
    gone, alive = psutil.wait_procs(everyone, timeout=SECONDS)
    assert (len(gone), alive) == (3, [])


def test_a_rate_holds_over_four_workers(empty_home: Path) -> None:
    rate, burst, seconds = 20.0, 5.0, 4.0
    run = Run(empty_home, 4, KINDRED_SERVER_RATE=str(rate), KINDRED_SERVER_BURST=str(burst))
    let_in, refused = [0] * 8, [0] * 8
    try:
        headers = {"Authorization": f"Bearer {new_token(empty_home)}"}
        url = run.url()
        clients = [httpx.Client(base_url=url, headers=headers, timeout=30) for _ in range(8)]
        for client in clients:
            # Connected before the clock starts: a full bucket gains nothing while nobody asks.
            assert client.get("/health/live").status_code == 200
        begun = time.monotonic()

        def ask(number: int) -> None:
            status = 0
            # Who ends with a refusal leaves nothing of the rate unused, however slow the machine.
            while time.monotonic() < begun + seconds or status != 429:
                status = clients[number].get("/api/v1/items?limit=1").status_code
                let_in[number] += status == 200
                refused[number] += status == 429

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = time.monotonic() - begun
        for client in clients:
            client.close()
    finally:
        run.kill()
    assert min(refused) > 0
    assert rate * (burst + seconds) * 0.95 <= sum(let_in) <= rate * (burst + whole) * 1.05


class Sending:
    """Clients in threads that send events, each again under its id until it is acknowledged."""

    def __init__(self, url: str, token: str, clients: int) -> None:
        """Prepare; nothing is sent before `start`."""
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}
        self.acknowledged: list[set[str]] = [set() for _ in range(clients)]
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(clients)]

    @property
    def count(self) -> int:
        """Return how many events were acknowledged."""
        return sum(map(len, self.acknowledged))

    def start(self) -> None:
        """Begin to send."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """End once every event that was begun is acknowledged."""
        self._stop.set()
        for each in self._threads:
            each.join()

    def _send(self, number: int) -> None:
        for event in itertools.count():
            if self._stop.is_set():
                return
            self._until_taken(number, f"evt-{number}-{event}")

    def _until_taken(self, number: int, event_id: str) -> None:
        body = {"event_id": event_id, "user_id": f"u{number}", "item_id": "i", "event_type": "view"}
        while True:
            # A connection of its own: one to a server that was killed says nothing of the others.
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"{self._url}/api/v1/track", json=body, headers=self._headers, timeout=30)
                if answer.status_code == 202:
                    self.acknowledged[number].add(event_id)
                    return
                if answer.status_code not in (429, 503):
                    self.refused.append(answer.text)
                    return


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_no_acknowledged_event_is_lost_though_every_child_is_killed_again_and_again(
    running: Run, empty_home: Path
) -> None:
    """Seven times each server and the consumer, under load: the others go on answering meanwhile."""
    sending = Sending(running.url(), new_token(empty_home), 3)
    sending.start()
    try:
        for kind in ["serve", "serve", "consume"] * ROUNDS:
            everyone = running.children(kind)
            os.kill(min(everyone), signal.SIGKILL)
            enough = sending.count + 10
            eventually(lambda many=enough: sending.count >= many, SECONDS)
            eventually(lambda kind=kind, those=everyone: len(running.children(kind) - those) == 1, SECONDS)
    finally:
        sending.stop()
    assert not sending.refused
    async with opened(empty_home) as stores:
        await eventually_async(lambda: is_folded(stores), SECONDS, 0.2)
    assert running.output().count("ended with code -9; it is started again") == 3 * ROUNDS
    assert running.end() == 0, running.output()
    acknowledged = set().union(*sending.acknowledged)
    async with opened(empty_home) as stores:
        there = {event.event_id for _, event in await logged(stores.log) if event.event_type == "view"}
        assert not acknowledged - there
        records = await user_records(stores)
        assert sum(record.interactions for record in records.values()) == len(acknowledged)

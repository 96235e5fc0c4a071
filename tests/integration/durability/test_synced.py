"""No 202 leaves before its sync has returned, and the disk that a power cut leaves holds every acknowledged event."""

import fcntl
import os
import random
import shutil
import subprocess
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from tests.e2e.platform.inside import logged
from tests.e2e.platform.server import Server, eventually, new_token
from tests.integration.durability.traced import STRACE, Call, Disk, accepted, read_trace

from kindred.adapters.sqlite.event_log import SqliteEventLog
from kindred.core.event import Interaction

SINGLES = 60
BATCHES = 60
BATCH = 500


def install_strace() -> str | None:
    """Return why strace cannot be used, or None; where it is missing and may be installed, install it."""
    if shutil.which("strace") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        subprocess.run(["apt-get", "install", "-qq", "-y", "strace"], check=False, capture_output=True)
    if shutil.which("strace") is None:
        return "strace is not installed and cannot be: install the package `strace`"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], check=False, capture_output=True, text=True)
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else None


class Recorded:
    """A traced run: the log's files before it, and every call of the server."""

    def __init__(self, folder: Path, base: dict[str, bytes], calls: list[Call]) -> None:
        """Keep what was recorded."""
        self.folder, self.base, self.calls = folder, base, calls


def log_files(folder: Path) -> dict[str, bytes]:
    """Return the files of the log that hold data, by name."""
    return {path.name: path.read_bytes() for path in folder.glob("events.sqlite*") if not path.name.endswith("-shm")}


def send_stream(client: httpx.Client) -> None:
    """Send single events, then batches until the WAL was folded into the file at least once, then singles again."""
    for number in range(SINGLES):
        answer = client.post("/api/v1/track", json=event(f"single-{number:04d}"))
        assert answer.status_code == 202
        if number == SINGLES // 2:
            for batch in range(BATCHES):
                events = [event(f"batch-{batch}-{place}") for place in range(BATCH)]
                assert client.post("/api/v1/track/batch", json={"events": events}).status_code == 202


def event(event_id: str) -> dict[str, object]:
    """Return an event with an id that can be found in what is written."""
    return {"user_id": "u", "item_id": "i", "event_type": "view", "event_id": event_id}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Run a server under strace while events flow, and read what it did."""
    reason = install_strace()
    if reason is not None:
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("traced") / "home"
    token = new_token(home)
    with Server(home, token) as server:
        assert server.stop() == 0
    folder = (home / "log").resolve()
    base, trace = log_files(folder), home.parent / "trace"
    with Server(home, token, prefix=[*STRACE, "-o", str(trace)]) as server:
        with server.client() as client:
            send_stream(client)
        # A kill may meet the last answer between its leaving and strace seeing that; in order, every call has an end.
        assert server.stop() == 0
    # strace goes on writing for a moment after the server has ended.
    eventually(lambda: not any(str(trace) in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])))
    calls = read_trace(trace)
    trace.unlink()
    return Recorded(folder, base, calls)


def test_no_202_leaves_before_the_sync_that_follows_its_write(recorded: Recorded) -> None:
    wal = str(recorded.folder / "events.sqlite-wal")
    writes = [call for call in recorded.calls if call.name == "pwrite64" and call.target == wal]
    syncs = [call for call in recorded.calls if call.name in ("fdatasync", "fsync") and call.target == wal]
    answers = [(call, body) for call, body in accepted(recorded.calls) if b"single-" in body]
    told = {event_id for _, body in answers for event_id in ids_of(body)}
    assert told == {f"single-{number:04d}" for number in range(SINGLES)}
    for answer, body in answers:
        event_id = msgspec.json.decode(body)["event_id"].encode()
        first = next((call for call in writes if event_id in call.data), None)
        assert first is not None, f"{event_id!r} was never written"
        covering = [
            sync for sync in syncs if sync.result == 0 and sync.entered > first.left and sync.left < answer.entered
        ]
        assert covering, f"the 202 of {event_id!r} left before its sync returned"


async def test_a_power_cut_at_any_moment_keeps_what_was_acknowledged(recorded: Recorded, tmp_path: Path) -> None:
    disk, dice = Disk(recorded.folder, recorded.base), random.Random(3)
    bodies = {call.left: body for call, body in accepted(recorded.calls)}
    main = str(recorded.folder / "events.sqlite")
    folding = [call.left for call in recorded.calls if call.target == main and call.name == "pwrite64"]
    # The end of the server folds the WAL too; here it matters while events still come.
    folding = [left for left in folding if left < max(bodies)]
    assert folding, "the WAL was never folded into the file: the test would leave out that moment"
    cuts = {*dice.sample(sorted(bodies), 8), max(bodies), *dice.sample(folding, 4)}
    acknowledged: set[str] = set()
    for call in disk.play(recorded.calls):
        if call.left in bodies:
            acknowledged |= ids_of(bodies[call.left])
        if call.left in cuts:
            for name, image in (("lost", disk.durable()), ("torn", disk.torn(dice))):
                kept = await reopen(image, tmp_path / f"{name}-{call.left}")
                assert acknowledged <= kept, f"{name} at {call.left}"
    assert len(acknowledged) == SINGLES + BATCHES * BATCH


def ids_of(body: bytes) -> set[str]:
    """Return the ids of the events that an answer acknowledges."""
    said = msgspec.json.decode(body)
    return {row["event_id"] for row in said.get("results", [said])}


async def reopen(image: dict[str, bytes], folder: Path) -> set[str]:
    """Return the ids of the events in a log made of these files."""
    folder.mkdir()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    log = SqliteEventLog(folder / "events.sqlite")
    try:
        return {event.event_id for _, event in await logged(log) if isinstance(event, Interaction)}
    finally:
        await log.close()
        shutil.rmtree(folder)


async def test_a_copy_truncated_to_the_last_sync_holds_what_was_acknowledged(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    with Server(home, new_token(home)) as server, server.client() as client:
        acknowledged = set()
        for number in range(40):
            answer = client.post("/api/v1/track", json=event(f"early-{number}"))
            acknowledged.add(answer.json()["event_id"])
        wal = home / "log" / "events.sqlite-wal"
        with (home / "log" / "append.lock").open("a") as lock:
            # Every event was answered, so no writer syncs: under the writers' lock each byte of the WAL is synced.
            fcntl.flock(lock, fcntl.LOCK_EX)
            synced = wal.stat().st_size
        for number in range(40):
            assert client.post("/api/v1/track", json=event(f"late-{number}")).status_code == 202
        image = log_files(home / "log")
        assert len(image[wal.name]) > synced
        image[wal.name] = image[wal.name][:synced]
        kept = await reopen(image, copy)
    assert acknowledged <= kept
    assert not any(event_id.startswith("late-39") for event_id in kept)

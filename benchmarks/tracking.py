"""Tracked events through HTTP, durable before the 202, beside what the disk alone could do with the same bytes.

The limit is measured in the same run: bare appends with `fdatasync` of the same bytes in groups of the same size, by
one process that does nothing else.
"""

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.servers import KINDRED, OHA, Home, Server, machine, sample_home
from kindred.core.event import encode_event
from kindred.ingest.event_types import EventRules
from kindred.ingest.quick_track import quick_event

SECONDS = 6
BATCH = 1_000
SERVERS = (1, 2, 4)
CONNECTIONS = (16, 64, 256)
EVENT: dict[str, Any] = {
    "user_id": "user-1234567",
    "item_id": "1214",
    "event_type": "view",
    "context": {"device": "mobile", "page": "home", "session_id": "s-42"},
    "metadata": {"watch_duration": 30, "total_duration": 120},
}


@dataclass(frozen=True)
class Load:
    """What a load gave: events a second and milliseconds; over several generators the worst percentiles."""

    rate: float
    p50: float
    p99: float
    answers: str


@dataclass(frozen=True)
class Marks:
    """Where a log stands: appended groups, events in it, and events folded."""

    groups: int
    events: int
    folded: int


def record() -> bytes:
    """Return the bytes that the log keeps of an event."""
    event = quick_event(json.dumps(EVENT).encode(), EventRules(), int(time.time() * 1000))
    if event is None:
        raise SystemExit("the event of this benchmark is not well formed")
    return encode_event(event)


def marks(home: Home) -> Marks:
    """Read where the log of a data folder stands."""
    with closing(sqlite3.connect(f"file:{home.path}/log/events.sqlite?mode=ro", uri=True)) as log:
        groups, events = log.execute("SELECT count(*), coalesce(sum(count), 0) FROM chunk").fetchone()
        row = log.execute("SELECT last FROM committed WHERE consumer = 'consumer'").fetchone()
    return Marks(groups, events, row[0] + 1 if row else 0)


def load(home: Home, servers: list[Server], path: str, body: str, connections: int, events: int) -> Load:
    """Load all servers at once with a closed loop, the connections shared among them."""
    with tempfile.TemporaryDirectory() as folder:
        sent = Path(folder) / "body"
        sent.write_text(body)
        each = str(max(connections // len(servers), 1))
        post = ["--no-tui", "--output-format", "json", "-m", "POST", "-T", "application/json", "-D", str(sent)]
        post += ["-z", f"{SECONDS}s", "-c", each, "-H", f"Authorization: Bearer {home.token}"]
        running = [
            subprocess.Popen([OHA, *post, f"{server.url}{path}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for server in servers
        ]
        reports = [json.loads(process.communicate()[0]) for process in running]
    codes: dict[str, int] = {}
    for report in reports:
        for code, count in report["statusCodeDistribution"].items():
            codes[code] = codes.get(code, 0) + count
    return Load(
        events * sum(float(report["summary"]["requestsPerSec"]) for report in reports),
        max(1000 * float(report["latencyPercentiles"]["p50"]) for report in reports),
        max(1000 * float(report["latencyPercentiles"]["p99"]) for report in reports),
        ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())),
    )


def limit(folder: Path, group: float, seconds: float = 1.5) -> float:
    """Return the events a second of bare durable appends in groups of this size."""
    count = max(round(group), 1)
    data = record() * count
    file = folder / "limit.bin"
    handle = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        appended, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.write(handle, data)
            os.fdatasync(handle)
            appended += count
        return appended / (time.perf_counter() - started)
    finally:
        os.close(handle)
        file.unlink()


@contextmanager
def consumer(home: Home, wanted: bool) -> Iterator[None]:
    """Fold events in a process of its own, or not at all."""
    if not wanted:
        yield
        return
    env = {**os.environ, "KINDRED_HOME": str(home.path), "OPENBLAS_NUM_THREADS": "1"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([KINDRED, "consume", "--status", "0"], env=env, stdout=quiet, stderr=quiet)
    try:
        time.sleep(3)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def rows(home: Home, table: Table, servers: list[Server], folding: bool) -> None:
    """Add the rows of one number of servers."""
    single = json.dumps(EVENT)
    loads = [("single", "/api/v1/track", single, connections, 1) for connections in CONNECTIONS]
    if len(servers) == 1:
        batch = json.dumps({"events": [EVENT] * BATCH})
        loads += [(f"batches of {BATCH:,}", "/api/v1/track/batch", batch, 4, BATCH)]
    for name, path, body, connections, events in loads:
        before = marks(home)
        found = load(home, servers, path, body, connections, events)
        after = marks(home)
        group = (after.events - before.events) / max(after.groups - before.groups, 1)
        bare = limit(home.path, group)
        folded = f"{(after.folded - before.folded) / SECONDS:,.0f}/s" if folding else "no consumer"
        pss = sum(server.pss_mib() for server in servers)
        cells = [f"{found.rate:,.0f}", f"{found.p50:.1f}", f"{found.p99:.1f}", f"{group:.0f}", f"{bare:,.0f}"]
        cells += [f"{found.rate / bare:.0%}", folded, f"{pss:.0f}", found.answers]
        table.add_row(name, str(len(servers)), str(connections), *cells)


def main() -> None:
    """Print the table."""
    console = Console(width=150)
    table = Table(title=f"Tracked events, durable before the 202, closed loop of {SECONDS} s ({machine()})")
    names = ("events", "servers", "connections", "events/s", "p50 ms", "p99 ms", "group", "bare/s", "of it", "folded")
    for column in (*names, "PSS MiB", "answers"):
        table.add_column(column, justify="left" if column in ("events", "answers") else "right")
    with sample_home() as home:
        for folding in (False, True):
            for count in SERVERS:
                servers = [home.start("--no-consume") for _ in range(count)]
                try:
                    with consumer(home, folding):
                        rows(home, table, servers, folding)
                finally:
                    for server in servers:
                        server.stop()
    console.print(table)
    console.print(
        "group: events per append of the log; bare/s: appends with fdatasync of the same bytes in such groups, without "
        "the load; folded: events a second that a `kindred consume` beside the servers folded during the load"
    )


if __name__ == "__main__":
    main()

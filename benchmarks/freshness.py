"""From an acknowledged event to a response that has learned from it, through HTTP.

A trial counts when, at exploration 0 and a fixed seed, the response's state version has reached the event's position,
the item is gone from the slate, and the slate differs from a run without the event in an item whose anchor is the
event's item or whose source works with the user's vector.
"""

import random
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.latency import bodies
from benchmarks.servers import OHA, Home, Server, machine, oha, sample_home

TRIALS = 1_000
VECTOR_SOURCES = {"als", "content"}


@dataclass
class Outcome:
    """What the trials of one condition gave; `waits` in seconds."""

    waits: list[float] = field(default_factory=list)
    not_moved: int = 0
    broken: list[str] = field(default_factory=list)


class Trials:
    """Trials on servers of one folder; an event goes to one server, the question to another, both at random."""

    def __init__(self, home: Home, servers: list[Server]) -> None:
        """Open a connection to each server."""
        self._clients = [httpx.Client(base_url=server.url, headers=home.headers()) for server in servers]
        self._draw = random.Random(7)

    def run(self, count: int, name: str) -> Outcome:
        """Run trials, each with a user of its own who has three events."""
        outcome = Outcome()
        for number in range(count):
            self._trial(f"{name}-{number}", outcome)
        return outcome

    def _trial(self, user: str, outcome: Outcome) -> None:
        for item in self._draw.sample(range(1, 1_000), 3):
            self._track(user, str(item))
        time.sleep(0.03)
        before = self._ask(user)
        chosen = self._draw.choice(before["recommendations"])["item_id"]
        without = {item["item_id"] for item in self._ask(user, exclude_items=[chosen])["recommendations"]}
        position = self._track(user, chosen)
        acknowledged = time.perf_counter()
        while True:
            after = self._ask(user)
            if version(after["state_version"]) >= version(position):
                break
            if time.perf_counter() - acknowledged > 10:
                outcome.broken.append(f"{user}: {position} not reached in 10 s")
                return
        waited = time.perf_counter() - acknowledged
        items = after["recommendations"]
        if chosen in {item["item_id"] for item in items}:
            outcome.broken.append(f"{user}: {chosen} is still there")
            return
        moved = [
            item
            for item in items
            if item["item_id"] not in without
            and (item.get("anchor_item_id") == chosen or item["source"] in VECTOR_SOURCES)
        ]
        if not moved:
            outcome.not_moved += 1
            return
        outcome.waits.append(waited)

    def _track(self, user: str, item: str) -> str:
        body = {"user_id": user, "item_id": item, "event_type": "rating", "metadata": {"rating": 5}}
        answer = self._draw.choice(self._clients).post("/api/v1/track", json=body)
        answer.raise_for_status()
        return str(answer.json()["position"])

    def _ask(self, user: str, **filters: Any) -> dict[str, Any]:
        body = {"user_id": user, "count": 20, "exploration": 0, "filters": filters}
        answer = self._draw.choice(self._clients).post("/api/v1/recommendations", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def version(text: str) -> tuple[int, ...]:
    """Return a position as numbers that can be compared."""
    return tuple(int(part) for part in text.split("."))


def background(home: Home, servers: list[Server], rate: float, folder: str) -> list[subprocess.Popen[bytes]]:
    """Load the servers with recommendations at `rate` a second in all, until killed."""
    post = ["-m", "POST", "-T", "application/json", "-Z", folder, "-c", "8", "-z", "3600s"]
    started = []
    for server in servers:
        each = ["-q", str(max(1, round(rate / len(servers)))), *post, "-H", f"Authorization: Bearer {home.token}"]
        command = [OHA, "--no-tui", *each, f"{server.url}/api/v1/recommendations"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return started


def capacity(home: Home, servers: list[Server], lines: str) -> float:
    """Return the recommendations a second of a closed loop on the first server."""
    post = ["-m", "POST", "-T", "application/json", "-Z", lines, "-c", "8", "-z", "6s"]
    report: Any = oha(f"{servers[0].url}/api/v1/recommendations", *post, headers=home.headers())
    return float(report["summary"]["requestsPerSec"])


def main() -> None:
    """Print the table."""
    console = Console(width=120)
    table = Table(title=f"Event acknowledged → response that has learned from it, {TRIALS} trials each ({machine()})")
    columns = (
        "servers",
        "load",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "worst ms",
        "p99 of 1 s",
        "counted",
        "slate unmoved",
        "broken",
    )
    for column in columns:
        table.add_column(column, justify="right")
    with sample_home() as home:
        lines = home.path / "bodies"
        lines.write_text("\n".join(bodies()) + "\n")
        for count in (1, 4):
            servers = [home.start(KINDRED_RECOMMEND_SEED="1") for _ in range(count)]
            try:
                half = capacity(home, servers, str(lines)) / 2
                for load in ("idle", f"half: {half:.0f}/s"):
                    loads = [] if load == "idle" else background(home, servers, half, str(lines))
                    try:
                        found = Trials(home, servers).run(TRIALS, f"fresh-{count}-{load[:4]}")
                    finally:
                        for process in loads:
                            process.kill()
                    add(table, console, count, load, found)
            finally:
                for server in servers:
                    server.stop()
    console.print(table)


def add(table: Table, console: Console, servers: int, load: str, found: Outcome) -> None:
    """Add a condition to the table."""
    waits = 1000 * np.array(found.waits or [float("nan")])
    p50, p90, p99 = np.percentile(waits, [50, 90, 99])
    shown = [f"{value:.1f}" for value in (p50, p90, p99, waits.max())]
    counts = [str(len(found.waits)), str(found.not_moved), str(len(found.broken))]
    table.add_row(str(servers), load, *shown, f"{p99 / 1000:.3f}", *counts)
    for line in found.broken[:5]:
        console.print(line)


if __name__ == "__main__":
    main()

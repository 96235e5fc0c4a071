"""The whole funnel, cache off, one server process, open loop at 100 requests a second, and the server's memory."""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.servers import Home, Server, machine, oha, sample_home

RATE = 100
SECONDS, WARM = 30, 3
CONNECTIONS = 16
DEVICES = ("mobile", "tv", "web")
PACKAGED = [str(user) for user in range(1, 611)]
"""The users of the packaged data."""


def bodies(known: Sequence[str] = PACKAGED, count: int = 2_000) -> list[str]:
    """Return request bodies of known users, one in ten unknown, each from a device."""
    draw = random.Random(1)
    users = [draw.choice(known) if draw.random() < 0.9 else f"nobody-{number}" for number in range(count)]
    return [json.dumps({"user_id": user, "count": 20, "context": {"device": draw.choice(DEVICES)}}) for user in users]


def ask(
    server: Server, home: Home, *arguments: str, known: Sequence[str] = PACKAGED, connections: int = CONNECTIONS
) -> dict[str, Any]:
    """Load the recommendations with the generator's `arguments` and return its report."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "bodies"
        lines.write_text("\n".join(bodies(known)) + "\n")
        post = ["-m", "POST", "-T", "application/json", "-Z", str(lines), "-c", str(connections)]
        return oha(f"{server.url}/api/v1/recommendations", *arguments, *post, headers=home.headers())


def measure(
    server: Server, home: Home, rate: int = RATE, seconds: int = SECONDS, known: Sequence[str] = PACKAGED
) -> dict[str, Any]:
    """Ask at a fixed rate, first to warm up, and return the generator's report."""
    ask(server, home, "-z", f"{WARM}s", "-q", str(rate), known=known)
    return ask(server, home, "-z", f"{seconds}s", "-q", str(rate), "--latency-correction", known=known)


def row(table: Table, name: str, report: dict[str, Any], floor: dict[str, Any] | None) -> None:
    """Add a report to the table."""
    p = {key: 1000 * float(report["latencyPercentiles"][key]) for key in ("p50", "p90", "p99")}
    base = p["p50"] if floor is None else 1000 * float(floor["latencyPercentiles"]["p50"])
    codes = ", ".join(f"{code}: {n}" for code, n in report["statusCodeDistribution"].items())
    rate = f"{report['summary']['requestsPerSec']:.0f}"
    table.add_row(name, rate, *(f"{value:.2f}" for value in p.values()), f"{p['p50'] / base:.1f}×", codes)


def main() -> None:
    """Print the table."""
    console = Console(width=120)
    with sample_home() as home:
        server = home.start()
        try:
            before = server.pss_mib()
            floor = oha(f"{server.url}/health/live", "-z", "10s", "-q", str(RATE), "--latency-correction", "-c", "16")
            report = measure(server, home)
            after = server.pss_mib()
        finally:
            server.stop()
    table = Table(title=f"Whole funnel, packaged data, open loop {RATE}/s for {SECONDS} s ({machine()})")
    for column in ("what", "requests/s", "p50 ms", "p90 ms", "p99 ms", "to the floor", "answers"):
        table.add_column(column, justify="left" if column in ("what", "answers") else "right")
    row(table, "GET /health/live (the HTTP stack alone)", floor, None)
    row(table, "POST /api/v1/recommendations, 20 items", report, floor)
    console.print(table)
    console.print(f"server memory (PSS): {before:.0f} MiB ready, {after:.0f} MiB after the load; limit 400")
    seconds = home.seconds
    console.print(
        f"packaged data: import {seconds['import']:.1f} s + train {seconds['train']:.1f} s; limit 20 s together"
    )


if __name__ == "__main__":
    main()

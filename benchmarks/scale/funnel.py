"""The whole funnel on a made-up shop of any size, cache off, one server process.

Opening, the first thousand requests, an open loop at 100 requests a second and a closed one, memory, and what the time
goes to by stage.

python -m benchmarks.scale.funnel [--items 1000000] [--home FOLDER] [--seconds 30] [--core N]

`--home` serves a folder that `benchmarks.scale.make` filled; without it one is made and removed. `--core` holds the
server to one core.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks.latency import CONNECTIONS, RATE, ask, measure
from benchmarks.scale.make import make
from benchmarks.scale.people import user_id
from benchmarks.scale.shop import ShopConfig
from benchmarks.servers import Home, Server, machine
from kindred.adapters.local.models import open_models
from kindred.core.bundle import DataWindow

PATIENCE = 600.0
"""Seconds in which a server has to become ready."""
FIRST = 1_000
IDLE = 0.1
"""Processor seconds in a second below which a server is at rest."""
WHOLE_ANSWERS = {"KINDRED_RESERVES_ENABLED": "false", "KINDRED_SERVER_QUEUE_TARGET": "0"}
"""Settings under which every answer goes through the whole funnel, however many wait."""
WHOLE = "whole request"


@dataclass(frozen=True)
class Figures:
    """What one server gave: `ready` in seconds, memory in MiB, loads as the generator reported them.

    `open_ms`, `closed_ms`: processor milliseconds of the server per request. `stages`: milliseconds per request by
    stage, and how often it ran per request.
    """

    items: int
    ready: float
    memory: tuple[float, float]
    first: dict[str, Any]
    open: dict[str, Any]
    closed: dict[str, Any]
    open_ms: float
    closed_ms: float
    stages: dict[str, tuple[float, float]]


@contextmanager
def shop_home(items: int, folder: Path | None) -> Iterator[Home]:
    """Give a data folder with a shop: `folder`, or one of `items` that goes afterwards."""
    if folder is not None:
        yield Home.of(folder, PATIENCE)
        return
    with tempfile.TemporaryDirectory(prefix="kindred-bench-") as made:
        asyncio.run(make(ShopConfig(items=items), Path(made)))
        yield Home.of(Path(made), PATIENCE)


async def window(folder: Path) -> DataWindow:
    """Return how many users and items the active bundle of a data folder knows."""
    store = await open_models("", folder)
    return (await store.open(str(await store.active())))[0].window


def serve(home: Home, seconds: int, core: int | None = None) -> Figures:
    """Start a server and measure it."""
    size = asyncio.run(window(home.path))
    known = [user_id(number) for number in range(size.users)]
    begun = time.perf_counter()
    server = home.start(**WHOLE_ANSWERS)
    ready = time.perf_counter() - begun
    try:
        if core is not None:
            hold(server, core)
        before = server.pss_mib()
        first = ask(server, home, "-n", str(FIRST), "-q", str(RATE), "--latency-correction", known=known)
        settle(server)
        opened, open_ms, stages = watched(server, lambda: measure(server, home, seconds=seconds, known=known))
        closed, closed_ms, _ = watched(server, lambda: ask(server, home, "-z", f"{seconds}s", known=known))
        return Figures(size.items, ready, (before, server.pss_mib()), first, opened, closed, open_ms, closed_ms, stages)
    finally:
        server.stop()


def settle(server: Server) -> None:
    """Wait until a server has done what it does behind its first answers, such as reading what trends."""
    busy = server.processor_seconds()
    for _ in range(round(PATIENCE)):
        time.sleep(1)
        before, busy = busy, server.processor_seconds()
        if busy - before < IDLE:
            return


def watched(
    server: Server, load: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], float, dict[str, tuple[float, float]]]:
    """Return a load's report, and the server's processor milliseconds and its stages' per request."""
    before, spent = stage_seconds(server), server.processor_seconds()
    report = load()
    after, spent = stage_seconds(server), server.processor_seconds() - spent
    return report, 1_000 * spent / max(after[WHOLE][1] - before[WHOLE][1], 1), per_request(before, after)


def hold(server: Server, core: int) -> None:
    """Hold all threads of a server to one core."""
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def stage_seconds(server: Server) -> dict[str, tuple[float, float]]:
    """Return seconds and runs so far by stage; `whole` is the request."""
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text):
        if family.name in ("kindred_stage_seconds", "kindred_recommend_seconds"):
            for sample in family.samples:
                if sample.name.endswith(("_sum", "_count")):
                    both = found.setdefault(_stage(sample.labels), [0.0, 0.0])
                    both[sample.name.endswith("_count")] += sample.value
    return {name: (seconds, runs) for name, (seconds, runs) in found.items()}


def _stage(labels: dict[str, str]) -> str:
    return f"{labels['kind']} · {labels['stage']}" if "stage" in labels else WHOLE


def per_request(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Return milliseconds and runs per request by stage, the costliest first."""
    gone = {
        name: (seconds - before.get(name, (0, 0))[0], runs - before.get(name, (0, 0))[1])
        for name, (seconds, runs) in after.items()
    }
    requests = max(gone[WHOLE][1], 1)
    found = {name: (1_000 * seconds / requests, runs / requests) for name, (seconds, runs) in gone.items()}
    return dict(sorted(found.items(), key=lambda one: -one[1][0]))


def milliseconds(report: dict[str, Any], at: str) -> float:
    """Return a percentile of a report."""
    return 1_000 * float(report["latencyPercentiles"][at])


def rows(figures: Figures) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured beside its limit."""
    large = figures.items > 1_000_000
    yield "ready", f"{figures.ready:.1f} s", "10 s"
    yield "memory (PSS), ready", f"{figures.memory[0]:,.0f} MiB", ""
    yield "memory (PSS), after the load", f"{figures.memory[1]:,.0f} MiB", "12,288 MiB" if large else ""
    yield f"first {FIRST:,} requests, p50", f"{milliseconds(figures.first, 'p50'):.2f} ms", ""
    yield f"first {FIRST:,} requests, p99", f"{milliseconds(figures.first, 'p99'):.2f} ms", ""
    yield f"open loop {RATE}/s, p50", f"{milliseconds(figures.open, 'p50'):.2f} ms", "" if large else "5 ms"
    yield f"open loop {RATE}/s, p90", f"{milliseconds(figures.open, 'p90'):.2f} ms", ""
    yield f"open loop {RATE}/s, p99", f"{milliseconds(figures.open, 'p99'):.2f} ms", "50 ms" if large else "20 ms"
    yield "processor of the server, open loop", f"{figures.open_ms:.2f} ms a request", ""
    rate = float(figures.closed["summary"]["requestsPerSec"])
    yield f"closed loop, {CONNECTIONS} connections", f"{rate:,.0f} requests/s", "" if large else "250 requests/s"
    yield "processor of the server, closed loop", f"{figures.closed_ms:.2f} ms a request", ""
    for name in ("first", "open", "closed"):
        codes = getattr(figures, name)["statusCodeDistribution"]
        yield f"answers, {name}", ", ".join(f"{code}: {n}" for code, n in codes.items()), ""


def main() -> None:
    """Print the figures and the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ShopConfig().items)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--core", type=int)
    options, _ = parser.parse_known_args()
    with shop_home(options.items, options.home) as home:
        figures = serve(home, options.seconds, options.core)
    console = Console(width=120)
    table = Table("what", "measured", "limit", title=f"Whole funnel, {figures.items:,} items ({machine()})")
    for row in rows(figures):
        table.add_row(*row)
    console.print(table)
    profile = Table("stage", "ms a request", "runs a request", title="What the time goes to, open loop")
    for name, (spent, runs) in figures.stages.items():
        profile.add_row(name, f"{spent:.3f}", f"{runs:.2f}")
    console.print(profile)


if __name__ == "__main__":
    main()

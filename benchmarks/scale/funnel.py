"""The whole funnel on a made-up shop of any size, cache off, one server process and then two.

Opening, the first thousand requests, an open loop at `--rate` requests a second and a closed one, memory, and what the
time goes to by stage, beside what it may take.

python -m benchmarks.scale.funnel [--items 1000000] [--home FOLDER] [--seconds 30] [--rate 100] [--core N]
                                 [--second N]

`--home` serves a folder that `benchmarks.scale.make` filled; without it one is made and removed. `--core` and
`--second` hold the first and the second server to one core each.
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

from rich.console import Console
from rich.table import Table

from benchmarks.latency import CONNECTIONS, RATE, WARM, ask, measure
from benchmarks.scale.budget import WHOLE, Stages, stage_seconds, table_of
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
MANY = 64
"""Connections over two servers, between which the kernel shares them out by chance."""


@dataclass(frozen=True)
class Figures:
    """What one server gave: `ready` in seconds, memory in MiB, loads as the generator reported them.

    `open_ms`, `closed_ms`: processor milliseconds of the server per request. `stages`: milliseconds per request by
    stage, and how often it ran per request. `one`, `two`: requests a second of one server and of two, asked alike;
    `both`: the memory of both; `rate`: requests a second of the open loop.
    """

    items: int
    ready: float
    memory: tuple[float, float]
    first: dict[str, Any]
    open: dict[str, Any]
    closed: dict[str, Any]
    open_ms: float
    closed_ms: float
    stages: Stages
    one: float
    two: float
    both: float
    rate: int


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


def serve(home: Home, seconds: int, core: int | None = None, second: int | None = None, rate: int = RATE) -> Figures:
    """Start a server and measure it, then with another one beside it."""
    size = asyncio.run(window(home.path))
    known = [user_id(number) for number in range(size.users)]
    begun = time.perf_counter()
    server = home.start("--share-port", **WHOLE_ANSWERS)
    ready = time.perf_counter() - begun
    try:
        hold(server, core)
        before = server.pss_mib()
        first = ask(server, home, "-n", str(FIRST), "-q", str(rate), "--latency-correction", known=known)
        settle(server)
        opened, open_ms, stages = watched(server, lambda: measure(server, home, rate, seconds, known))
        closed, closed_ms, _ = watched(server, lambda: ask(server, home, "-z", f"{seconds}s", known=known))
        memory = (before, server.pss_mib())
        one, two, both = beside(server, home, seconds, known, second)
        return Figures(
            size.items, ready, memory, first, opened, closed, open_ms, closed_ms, stages, one, two, both, rate
        )
    finally:
        server.stop()


def beside(server: Server, home: Home, seconds: int, known: list[str], core: int | None) -> tuple[float, float, float]:
    """Return the requests a second of one server and of it with another one, and the memory of both, MiB."""

    def rate(length: int) -> float:
        report = ask(server, home, "-z", f"{length}s", known=known, connections=MANY)
        return float(report["summary"]["requestsPerSec"])

    one = rate(seconds)
    other = home.start("--share-port", "--no-consume", port=int(server.url.rpartition(":")[2]), **WHOLE_ANSWERS)
    try:
        hold(other, core)
        settle(other)
        rate(WARM)
        settle(other)
        return one, rate(seconds), server.pss_mib() + other.pss_mib()
    finally:
        other.stop()


def settle(server: Server) -> None:
    """Wait until a server has done what it does behind its first answers, such as reading what trends."""
    busy = server.processor_seconds()
    for _ in range(round(PATIENCE)):
        time.sleep(1)
        before, busy = busy, server.processor_seconds()
        if busy - before < IDLE:
            return


def watched(server: Server, load: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], float, Stages]:
    """Return a load's report, and the server's processor milliseconds and its stages' per request."""
    before, spent = stage_seconds(server.url), server.processor_seconds()
    report = load()
    after, spent = stage_seconds(server.url), server.processor_seconds() - spent
    return report, 1_000 * spent / max(after[WHOLE][1] - before[WHOLE][1], 1), per_request(before, after)


def hold(server: Server, core: int | None) -> None:
    """Hold all threads of a server to one core, where one is named."""
    if core is None:
        return
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def per_request(before: Stages, after: Stages) -> Stages:
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
    yield f"open loop {figures.rate}/s, p50", f"{milliseconds(figures.open, 'p50'):.2f} ms", "" if large else "5 ms"
    yield f"open loop {figures.rate}/s, p90", f"{milliseconds(figures.open, 'p90'):.2f} ms", ""
    yield (
        f"open loop {figures.rate}/s, p99",
        f"{milliseconds(figures.open, 'p99'):.2f} ms",
        "50 ms" if large else "20 ms",
    )
    yield "processor of the server, open loop", f"{figures.open_ms:.2f} ms a request", ""
    rate = float(figures.closed["summary"]["requestsPerSec"])
    yield f"closed loop, {CONNECTIONS} connections", f"{rate:,.0f} requests/s", "" if large else "250 requests/s"
    yield "processor of the server, closed loop", f"{figures.closed_ms:.2f} ms a request", ""
    yield f"one server, {MANY} connections", f"{figures.one:,.0f} requests/s", ""
    ratio = figures.two / max(figures.one, 1e-9)
    yield f"two servers, {MANY} connections", f"{figures.two:,.0f} requests/s, {ratio:.2f} times", "1.7 times"
    yield "memory (PSS) of both", f"{figures.both:,.0f} MiB", ""
    for name in ("first", "open", "closed"):
        codes = getattr(figures, name)["statusCodeDistribution"]
        yield f"answers, {name}", ", ".join(f"{code}: {n}" for code, n in codes.items()), ""


def main() -> None:
    """Print the figures and the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ShopConfig().items)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--core", type=int)
    parser.add_argument("--second", type=int)
    options, _ = parser.parse_known_args()
    with shop_home(options.items, options.home) as home:
        figures = serve(home, options.seconds, options.core, options.second, options.rate)
    console = Console(width=120)
    table = Table("what", "measured", "limit", title=f"Whole funnel, {figures.items:,} items ({machine()})")
    for row in rows(figures):
        table.add_row(*row)
    console.print(table)
    console.print(table_of(figures.stages, figures.open_ms))


if __name__ == "__main__":
    main()

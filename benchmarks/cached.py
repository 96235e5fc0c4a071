"""Recommendations from fresh reserves: one server process, closed loop, and what becomes of the records of them.

A consumer of its own folds meanwhile; after the burst it is waited for until everything that was served is folded.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.latency import bodies
from benchmarks.servers import Home, Server, machine, oha, sample_home
from benchmarks.tracking import consumer, marks

SECONDS = 30
CONNECTIONS = 16
USERS = 200
FOLDED_WITHIN = 60
RATE, P99, PEER_RATE, PEER_P99 = 6_000, 10, 480, 53


def burst(server: Server, home: Home, seconds: int) -> dict[str, Any]:
    """Ask for known users with a closed loop and return the generator's report."""
    with TemporaryDirectory() as folder:
        lines = Path(folder) / "bodies"
        asked = [body for body in bodies() if "nobody" not in body][:USERS]
        lines.write_text("\n".join(asked) + "\n")
        post = ["-m", "POST", "-T", "application/json", "-Z", str(lines), "-c", str(CONNECTIONS)]
        return oha(f"{server.url}/api/v1/recommendations", "-z", f"{seconds}s", *post, headers=home.headers())


def answered(report: dict[str, Any]) -> int:
    """Return how many calls were answered with recommendations."""
    return int(report["statusCodeDistribution"].get("200", 0))


def folded_after(home: Home, events: int = 0) -> float:
    """Return the seconds until the log has that many events and all are folded, at most twice as many as are allowed.

    What was served is written a moment after the answer.
    """
    started = time.perf_counter()
    while time.perf_counter() - started < 2 * FOLDED_WITHIN:
        found = marks(home)
        if found.folded >= found.events >= events:
            break
        time.sleep(0.2)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    console = Console(width=120)
    with sample_home() as home:
        server = home.start("--no-consume", KINDRED_RESERVES_ENABLED="true")
        try:
            with consumer(home, True):
                begun = marks(home)
                warmed = answered(burst(server, home, 5))
                folded_after(home, begun.events + warmed)
                before, used = marks(home), server.processor_seconds()
                report = burst(server, home, SECONDS)
                answers = answered(report)
                used, waited = server.processor_seconds() - used, folded_after(home, before.events + answers)
                after = marks(home)
                pss = server.pss_mib()
        finally:
            server.stop()
    p50, p99 = (1000 * float(report["latencyPercentiles"][name]) for name in ("p50", "p99"))
    table = Table(title=f"Cached recommendations, 20 items, {CONNECTIONS} connections, {SECONDS} s ({machine()})")
    for column in ("what", "found", "wanted", "a peer on its embedded store"):
        table.add_column(column, justify="left" if column == "what" else "right")
    codes = ", ".join(f"{code}: {n:,}" for code, n in report["statusCodeDistribution"].items())
    table.add_row("requests/s", f"{report['summary']['requestsPerSec']:,.0f}", f"{RATE:,}", f"{PEER_RATE:,}")
    table.add_row("p50 ms", f"{p50:.2f}", "", "")
    table.add_row("p99 ms", f"{p99:.2f}", f"< {P99}", f"{PEER_P99}")
    table.add_row("processor µs per request", f"{1e6 * used / answers:,.0f}", f"{1e6 / RATE:,.0f}", "")
    table.add_row("served records in the log", f"{after.events - before.events:,}", f"{answers:,} answers", "")
    table.add_row("seconds until all are folded", f"{waited:.1f}", f"< {FOLDED_WITHIN}", "")
    table.add_row("server memory (PSS) MiB", f"{pss:.0f}", "", "")
    console.print(table)
    console.print(f"answers by status: {codes}")


if __name__ == "__main__":
    main()

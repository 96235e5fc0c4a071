"""A spike: ten times the rate that saturates one server, and what becomes of those who ask before, in it and after."""

import asyncio
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.latency import bodies
from benchmarks.servers import Home, Server, machine, oha, sample_home

SPIKE = 10
SECONDS = 10
AFTER = 5.0
FEW, CONNECTIONS = 4, 200
LIMIT_MS = 200


class Guests:
    """One who asks five times a second all the time, and one who asks whether the server lives."""

    def __init__(self, server: Server, home: Home) -> None:
        """Ask `server`."""
        self._server, self._home = server, home
        self._stop = threading.Event()
        self.answers: list[tuple[float, int, tuple[str, ...]]] = []
        self.health: list[int] = []
        self._work = threading.Thread(target=self._ask)

    def __enter__(self) -> "Guests":
        """Begin."""
        self._work.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._work.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._server.url, headers=self._home.headers(), timeout=30) as client:
            while not self._stop.wait(0.2):
                self.health.append(client.get("/health/live").status_code)
                answer = client.post("/api/v1/recommendations", json={"user_id": "1", "count": 20})
                said = answer.json() if answer.status_code == 200 else {}
                self.answers.append((time.monotonic(), answer.status_code, tuple(said.get("degraded", ()))))

    def back_after(self, moment: float) -> float:
        """Return how many seconds after `moment` answers were whole again and stayed so."""
        bad = [when for when, status, degraded in self.answers if status != 200 or degraded]
        return max([0.0, *(when - moment for when in bad)])


def load(server: Server, home: Home, lines: Path, *words: str) -> dict[str, Any]:
    """Ask for recommendations and return the generator's report, successes apart."""
    post = ["-m", "POST", "-T", "application/json", "-Z", str(lines), "--stats-success-breakdown"]
    return oha(f"{server.url}/api/v1/recommendations", *words, *post, headers=home.headers())


def refused_without_word(server: Server, home: Home) -> int:
    """Return how many of a burst of refusals lack `Retry-After`."""

    async def ask() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=CONNECTIONS)
        async with httpx.AsyncClient(headers=home.headers(), timeout=30, limits=limits) as client:
            url, body = f"{server.url}/api/v1/recommendations", {"user_id": "1", "count": 20}
            return await asyncio.gather(*(client.post(url, json=body) for _ in range(CONNECTIONS)))

    refused = [answer for answer in asyncio.run(ask()) if answer.status_code in (429, 503)]
    return sum("retry-after" not in answer.headers for answer in refused)


def row(table: Table, name: str, report: dict[str, Any]) -> None:
    """Add a report to the table."""
    good = report.get("latencyPercentilesSuccessful") or report["latencyPercentiles"]
    codes = ", ".join(f"{code}: {number}" for code, number in report["statusCodeDistribution"].items())
    values = [1000 * float(good[key] or 0) for key in ("p50", "p99")]
    table.add_row(name, f"{report['summary']['requestsPerSec']:.0f}", *(f"{value:.1f}" for value in values), codes)


def main() -> None:
    """Print the table."""
    console = Console(width=120)
    table = Table(title=f"A spike on one server, whole funnel ({machine()})")
    for column in ("what", "calls/s", "admitted p50 ms", "admitted p99 ms", "answers"):
        table.add_column(column, justify="left" if column in ("what", "answers") else "right")
    with sample_home() as home, tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "bodies"
        lines.write_text("\n".join(bodies()) + "\n")
        server = home.start("--no-consume")
        try:
            load(server, home, lines, "-z", "3s", "-c", str(FEW))
            full = load(server, home, lines, "-z", f"{SECONDS}s", "-c", str(FEW))
            rate = int(full["statusCodeDistribution"].get("200", 0)) // SECONDS
            row(table, f"saturated: closed loop, {FEW} connections", full)
            words = ["-z", f"{SECONDS}s", "-q", str(SPIKE * rate), "-c", str(CONNECTIONS)]
            with Guests(server, home) as guests:
                spike = load(server, home, lines, *words)
                ended = time.monotonic()
                time.sleep(AFTER + 1)
            missing = refused_without_word(server, home)
        finally:
            server.stop()
    row(table, f"{SPIKE} × that, {CONNECTIONS} connections; limit {LIMIT_MS} ms", spike)
    console.print(table)
    console.print(f"whole answers again {guests.back_after(ended):.1f} s after the spike; limit {AFTER:g} s")
    console.print(f"health while it lasted: {sorted(set(guests.health))}; refusals without Retry-After: {missing}")


if __name__ == "__main__":
    main()

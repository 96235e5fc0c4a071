"""A bundle swap under load on a made-up shop: how much memory it takes, and what requests notice of it.

python -m benchmarks.scale.swap [--items 1000000] [--home FOLDER] [--seconds 60] [--rate 100]

The active bundle is copied, so that nothing of it is shared with the one in use, and published as a newer version while
an open loop of `--rate` requests a second goes on. The home is left as it was.
"""

import argparse
import asyncio
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.latency import RATE, ask
from benchmarks.scale.funnel import FIRST, PATIENCE, WHOLE_ANSWERS, milliseconds, settle, shop_home, window
from benchmarks.scale.people import user_id
from benchmarks.scale.shop import ShopConfig
from benchmarks.servers import Home, Server, machine
from kindred.adapters.local.bundle_files import MANIFEST
from kindred.adapters.local.models import LocalModelStore, open_models
from kindred.core.bundle import Manifest


@dataclass
class Watch:
    """Reads a server's memory (MiB) and the version of its answers once a second, `until` is set."""

    server: Server
    home: Home
    until: threading.Event = field(default_factory=threading.Event)
    memory: list[float] = field(default_factory=list)
    versions: list[tuple[float, str]] = field(default_factory=list)

    def run(self) -> None:
        """Read until told to stop."""
        url, asked = f"{self.server.url}/api/v1/recommendations", {"user_id": user_id(1), "count": 20}
        while not self.until.wait(1):
            self.memory.append(self.server.pss_mib())
            answer = httpx.post(url, json=asked, headers=self.home.headers(), timeout=PATIENCE)
            if answer.status_code == 200:
                self.versions.append((time.perf_counter(), answer.json()["model_version"]))

    def since(self, begun: float, version: str) -> float | None:
        """Return the seconds from `begun` until the first answer of a version that was seen, None where none was."""
        return next((at - begun for at, one in self.versions if one == version), None)


async def staged_copy(store: LocalModelStore) -> tuple[Path, Manifest]:
    """Copy the active bundle into a staged folder, under a version of its own."""
    manifest, folder = await store.open(str(await store.active()))
    target = await store.stage()
    shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    return target, msgspec.structs.replace(manifest, version=f"{manifest.version}-again", created=manifest.created + 1)


def swap(home: Home, seconds: int, rate: int) -> list[tuple[str, str, str]]:
    """Swap the bundle of a home under load, and return what was found beside its limit."""
    size = asyncio.run(window(home.path))
    known = [user_id(number) for number in range(size.users)]
    store = asyncio.run(open_models("", home.path))
    before = str(asyncio.run(store.active()))
    folder, manifest = asyncio.run(staged_copy(store))
    server = home.start(**WHOLE_ANSWERS)
    reports: list[dict[str, Any]] = []

    def load(length: int) -> None:
        open_loop = ("-q", str(rate), "--latency-correction")
        reports.append(ask(server, home, "-z", f"{length}s", *open_loop, known=known))

    try:
        ask(server, home, "-n", str(FIRST), known=known)
        settle(server)
        still = server.pss_mib()
        load(seconds // 2)
        watch = Watch(server, home)
        loading, watching = threading.Thread(target=load, args=(seconds,)), threading.Thread(target=watch.run)
        loading.start()
        watching.start()
        asyncio.run(store.publish(folder, manifest))
        begun = time.perf_counter()
        loading.join()
        watch.until.set()
        watching.join()
    finally:
        server.stop()
        asyncio.run(store.activate(before))
        shutil.rmtree(store.place / manifest.version, ignore_errors=True)
    plain, report = reports
    large = size.items > 1_000_000
    taken = watch.since(begun, manifest.version)
    codes = ", ".join(f"{code}: {count}" for code, count in report["statusCodeDistribution"].items())
    return [
        ("memory (PSS) before", f"{still:,.0f} MiB", ""),
        ("most memory (PSS) meanwhile", f"{max(watch.memory):,.0f} MiB", "12,288 MiB" if large else ""),
        ("memory (PSS) at the end", f"{watch.memory[-1]:,.0f} MiB", ""),
        ("published → answers of the new bundle", "never" if taken is None else f"{taken:.1f} s", ""),
        (f"open loop {rate}/s, p50 and p99, without a swap", _times(plain), ""),
        (f"open loop {rate}/s, p50 and p99, with it", _times(report), "p99 50 ms" if large else "p99 20 ms"),
        ("answers", codes, ""),
    ]


def _times(report: dict[str, Any]) -> str:
    return f"{milliseconds(report, 'p50'):.2f}, {milliseconds(report, 'p99'):.2f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ShopConfig().items)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=RATE)
    options, _ = parser.parse_known_args()
    table = Table("what", "measured", "limit", title=f"A bundle swap under load ({machine()})")
    with shop_home(options.items, options.home) as home:
        for row in swap(home, options.seconds, options.rate):
            table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

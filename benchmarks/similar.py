"""Items like one item: what a server spends on an answer, worked out or kept, and what was found at the training.

One connection, closed loop; the time at the server is what is left when that of a call which does nothing is taken off.
"Not kept" asks for items at random among at most 20,000, and says which part of the calls asks for an item again;
"kept" asks for a few again and again.

python -m benchmarks.similar [--items N | --home FOLDER]

Without either the packaged data is imported and trained. `--items` makes a shop of so many items, `--home` serves a
folder that `benchmarks.scale.make` filled.
"""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.scale.funnel import milliseconds, settle, shop_home
from benchmarks.servers import Home, Server, machine, oha, sample_home
from kindred.adapters.local.models import open_models
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.core.bundle import Manifest

CALLS, FEW = 2_000, 100
MANY = 20_000
KEPT_LIMIT, LIMIT = 1, 3


async def manifest_of(home: Path) -> Manifest:
    """Return the manifest of a data folder's active bundle."""
    store = await open_models("", home)
    return (await store.open(str(await store.active())))[0]


async def paths(home: Path, size: int) -> list[str]:
    """Return the paths of questions for random items of a catalogue of `size`."""
    catalog = await open_catalog("catalog.sqlite", home)
    try:
        found = await catalog.by_ordinals(random.Random(3).sample(range(size), min(size, MANY)))
        return [f"/api/v1/items/{each.item.item_id}/similar" for each in found if each is not None and each.listed]
    finally:
        await catalog.close()


def repeated(items: int, calls: int) -> float:
    """Return which part of `calls` for random ones of `items` is expected to ask for what another one asked for."""
    return 1 - items * (1 - (1 - 1 / items) ** calls) / calls


def load(server: Server, home: Home, asked: Sequence[str], calls: int) -> tuple[dict[str, Any], float]:
    """Ask one after the other at random; return the generator's report and the server's microseconds a call."""
    spent = server.processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "urls"
        lines.write_text("\n".join(server.url + path for path in asked) + "\n")
        report = oha(str(lines), "--urls-from-file", "-c", "1", "-n", str(calls), headers=home.headers())
    return report, 1e6 * (server.processor_seconds() - spent) / calls


def measure(home: Home, manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured beside its limit."""
    asked = asyncio.run(paths(home.path, manifest.n_items))
    known = manifest.metrics
    if "similar.items" in known:
        what = f"{known['similar.items']:,.0f} lists, recall {known['similar.recall']:.4f}"
        yield "found at the training", f"{what}, {known['similar.seconds']:.1f} s", ""
    server = home.start("--no-consume")
    try:
        load(server, home, asked, FEW)
        settle(server)
        nothing, _ = load(server, home, ["/health/live"], CALLS)
        yield "a call that does nothing", f"p50 {milliseconds(nothing, 'p50'):.2f} ms", ""
        bare = milliseconds(nothing, "p50")
        again = f"not kept ({repeated(len(asked), CALLS):.0%} asked for again)"
        yield from said(again, load(server, home, asked, CALLS), bare, LIMIT)
        load(server, home, asked[:FEW], 10 * FEW)
        yield from said("kept", load(server, home, asked[:FEW], CALLS), bare, KEPT_LIMIT)
        yield "memory (PSS)", f"{server.pss_mib():,.0f} MiB", ""
    finally:
        server.stop()


def said(name: str, loaded: tuple[dict[str, Any], float], bare: float, limit: int) -> Iterator[tuple[str, str, str]]:
    """Yield the time at the server, its processor's part of it, and what the answers were."""
    report, microseconds = loaded
    p50, p99 = (max(milliseconds(report, at) - bare, 0.0) for at in ("p50", "p99"))
    codes = ", ".join(f"{code}: {n:,}" for code, n in report["statusCodeDistribution"].items())
    yield name, f"p50 {p50:.2f}, p99 {p99:.2f} ms ({codes})", f"{limit} ms"
    yield f"{name}, processor of the server", f"{microseconds:,.0f} µs a call", ""


def chosen_home(options: argparse.Namespace) -> AbstractContextManager[Home]:
    """Return the data folder that the command line asks for."""
    if options.items is None and options.home is None:
        return sample_home()
    return shop_home(options.items, options.home)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int)
    parser.add_argument("--home", type=Path)
    options, _ = parser.parse_known_args()
    with chosen_home(options) as home:
        manifest = asyncio.run(manifest_of(home.path))
        table = Table("what", "measured", "limit", title=f"Similar items, {manifest.n_items:,} items ({machine()})")
        for row in measure(home, manifest):
            table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

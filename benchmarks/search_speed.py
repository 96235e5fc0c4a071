"""Search over a made-up shop: how long the index takes to build, and a personalised search by what is asked.

The index is built in a folder of its own from the shop's catalogue; searches are asked of one server process at a fixed
rate, cache off, by users with a history (one in ten unknown). Queries are made from titles and categories of random
items. A new item is stored over HTTP and searched for until it is found.

python -m benchmarks.search_speed [--items 1000000] [--home FOLDER] [--rate 20] [--seconds 30] [--core N]

`--home` serves a folder that `benchmarks.scale.make` filled; without it one is made and removed. `--core` holds the
server to one core.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.latency import CONNECTIONS, WARM
from benchmarks.scale.budget import stage_seconds
from benchmarks.scale.funnel import hold, milliseconds, per_request, shop_home, window
from benchmarks.scale.people import user_id
from benchmarks.scale.shop import ShopConfig
from benchmarks.servers import Home, Server, machine, oha
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.adapters.tantivy.text import open_text
from kindred.app.text_feed import TextFeed
from kindred.core.bundle import DataWindow
from kindred.core.item import Item
from kindred.ports.telemetry import NoMeter

BUILD_LIMIT, SEARCH_LIMIT, NEW_LIMIT = 300, 50, 1
ASKED = 2_000
SEARCH = "/api/v1/search"


async def build(home: Path, folder: Path) -> tuple[float, float]:
    """Build the index of a shop's catalogue in `folder`; return seconds and processor seconds."""
    catalog, text = await open_catalog("catalog.sqlite", home), await open_text(str(folder), home)
    begun, spent = time.perf_counter(), time.process_time()
    try:
        await TextFeed(catalog, text, NoMeter()).step()
        return time.perf_counter() - begun, time.process_time() - spent
    finally:
        await text.close()
        await catalog.close()


async def sampled(home: Path, size: int, count: int) -> list[Item]:
    """Return random items of a shop."""
    catalog = await open_catalog("catalog.sqlite", home)
    try:
        found = await catalog.by_ordinals(random.Random(2).sample(range(size), count))
        return [each.item for each in found if each is not None and each.listed]
    finally:
        await catalog.close()


def swapped(word: str) -> str:
    """Return a word with two of its letters swapped."""
    return word[0] + word[2] + word[1] + word[3:]


def queries(items: Sequence[Item]) -> dict[str, list[str]]:
    """Return queries made of items, by kind."""
    titles = [item.title.lower().split() for item in items]
    return {
        "a word of a title": [words[0] + " " for words in titles],
        "two words of a title": [" ".join(words[:2]) + " " for words in titles],
        "a word and a beginning": [f"{words[0]} {words[1][:3]}" for words in titles],
        "a beginning of two letters": [words[0][:2] for words in titles],
        "a misspelt word": [swapped(words[0]) + " " for words in titles],
        "a category": [item.categories[0] + " " for item in items],
        "words of a description": [" ".join(item.description.split()[:4]) + " " for item in items],
    }


def load(server: Server, home: Home, asked: Sequence[str], users: int, *arguments: str) -> dict[str, Any]:
    """Load searches for `asked` with the generator's `arguments` and return its report."""
    draw = random.Random(1)
    bodies = []
    for number in range(ASKED):
        user = user_id(draw.randrange(users)) if draw.random() < 0.9 else f"nobody-{number}"
        bodies.append(json.dumps({"query": asked[number % len(asked)], "user_id": user, "count": 20}))
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "bodies"
        lines.write_text("\n".join(bodies) + "\n")
        post = ["-m", "POST", "-T", "application/json", "-Z", str(lines), "-c", str(CONNECTIONS)]
        return oha(f"{server.url}{SEARCH}", *arguments, *post, headers=home.headers())


def until_found(server: Server, home: Home) -> float:
    """Store an item; return the seconds until a search finds it."""
    item = {"title": "Quyxzzy", "categories": ["category 0"]}
    begun = time.perf_counter()
    with httpx.Client(base_url=server.url, headers=home.headers(), timeout=30) as client:
        client.put("/api/v1/items/quyxzzy", json=item).raise_for_status()
        while not client.post(SEARCH, json={"query": "quyxzzy"}).json()["results"]:
            time.sleep(0.02)
    return time.perf_counter() - begun


def measure(home: Home, size: DataWindow, options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured beside its limit."""
    made = queries(asyncio.run(sampled(home.path, size.items, 500)))
    mixed = [text for asked in zip(*made.values(), strict=True) for text in asked]
    with tempfile.TemporaryDirectory(prefix="kindred-text-") as folder:
        seconds, processor = asyncio.run(build(home.path, Path(folder)))
        mebibytes = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        yield "index built", f"{seconds:.0f} s ({processor:.0f} s of processor)", f"{BUILD_LIMIT} s"
        yield "index on disk", f"{mebibytes:,.0f} MiB", ""
        server = home.start(KINDRED_STORES_TEXT=f"tantivy:{folder}")
        try:
            if options.core is not None:
                hold(server, options.core)
            rate = ["-q", str(options.rate)]
            load(server, home, mixed, size.users, "-z", f"{WARM}s", *rate)
            before, spent = stage_seconds(server.url), server.processor_seconds()
            timed = ["-z", f"{options.seconds}s", *rate, "--latency-correction"]
            yield from said("mixed queries", load(server, home, mixed, size.users, *timed))
            per = 1_000 * (server.processor_seconds() - spent) / (options.seconds * options.rate)
            yield "processor of the server", f"{per:.2f} ms a search", ""
            for name, (took, runs) in per_request(before, stage_seconds(server.url)).items():
                yield f"  {name}", f"{took:.3f} ms, {runs:.2f} a search", ""
            for name, asked in made.items():
                yield from said(name, load(server, home, asked, size.users, "-n", "200", *rate))
            yield "a new item is found", f"{until_found(server, home):.2f} s", f"{NEW_LIMIT} s"
            yield "memory (PSS)", f"{server.pss_mib():,.0f} MiB", ""
        finally:
            server.stop()


def said(name: str, report: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield a report's median and its 99th percentile."""
    codes = ", ".join(f"{code}: {n}" for code, n in report["statusCodeDistribution"].items())
    figures = f"p50 {milliseconds(report, 'p50'):.2f}, p99 {milliseconds(report, 'p99'):.2f} ms ({codes})"
    yield name, figures, f"p99 {SEARCH_LIMIT} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ShopConfig().items)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--rate", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--core", type=int)
    options, _ = parser.parse_known_args()
    with shop_home(options.items, options.home) as home:
        size = asyncio.run(window(home.path))
        table = Table("what", "measured", "limit", title=f"Search, {size.items:,} items ({machine()})")
        for row in measure(home, size, options):
            table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

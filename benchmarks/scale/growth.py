"""How time and memory grow with the catalogue: the whole funnel, cache off, on made-up shops of several sizes.

python -m benchmarks.scale.growth [--items 10000 100000 1000000 10000000] [--homes FOLDER] [--seconds 20] [--core N]

Homes that lie in FOLDER under their number of items are served as they are; others are made, and removed again.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.latency import RATE
from benchmarks.scale.funnel import Figures, milliseconds, serve, shop_home
from benchmarks.servers import machine

SIZES = [10_000, 100_000, 1_000_000, 10_000_000]


def row(figures: Figures, before: Figures | None) -> list[str]:
    """Return a line of the table; `before` is the next smaller shop."""
    p50, p99 = (milliseconds(figures.open, at) for at in ("p50", "p99"))
    grown = "" if before is None else f"{figures.open_ms / before.open_ms:.2f}×"
    return [
        f"{figures.items:,}",
        f"{figures.ready:.1f}",
        f"{milliseconds(figures.first, 'p99'):.1f}",
        f"{p50:.2f}",
        f"{p99:.2f}",
        f"{figures.open_ms:.2f}",
        grown,
        f"{float(figures.closed['summary']['requestsPerSec']):,.0f}",
        f"{figures.memory[0]:,.0f}",
        f"{figures.memory[1]:,.0f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=SIZES)
    parser.add_argument("--homes", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--core", type=int)
    options, _ = parser.parse_known_args()
    table = Table(title=f"The whole funnel by size of the catalogue, open loop {RATE}/s ({machine()})")
    heads = (
        "items",
        "ready s",
        "first 1,000: p99 ms",
        "p50 ms",
        "p99 ms",
        "processor ms a request",
        "to the size before",
    )
    for head in (*heads, "closed loop requests/s", "ready MiB", "after the load MiB"):
        table.add_column(head, justify="right")
    before: Figures | None = None
    for items in options.items:
        kept = options.homes / str(items) if options.homes else None
        with shop_home(items, kept if kept is not None and kept.is_dir() else None) as home:
            figures = serve(home, options.seconds, options.core)
        table.add_row(*row(figures, before))
        before = figures
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

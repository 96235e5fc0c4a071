"""How fast an import is: parse, de-duplicate, lake and history; then, apart, the fold into state.

Beside it stands polars reading the same files and dropping repeats. Without arguments it imports a million generated
ratings; with a mapping (and the folder of its files) any other data:

python -m benchmarks.import_speed docs/guide/mappings/ml-1m.toml --data FOLDER
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.servers import machine
from kindred.app.app import App, build_app
from kindred.app.sections import SCHEMA
from kindred.ingest.importing import ImportMapping, ImportReport, ImportStores, load_mapping, run_import
from kindred.ingest.importing.readers import find_files
from kindred.settings.load import load_settings

ROWS, USERS, ITEMS = 1_000_000, 6_000, 4_000
MAPPING = """
source = "generated"
[interactions]
path = "ratings.parquet"
[interactions.columns]
user_id = "user_id"
item_id = "item_id"
event_type = { constant = "rating" }
value = "rating"
timestamp = "timestamp"
"""


@dataclass(frozen=True)
class Runs:
    """Two imports of the same files and the fold of the first, seconds each."""

    first: ImportReport
    first_seconds: float
    again: ImportReport
    again_seconds: float
    fold_seconds: float


def generate(folder: Path) -> Path:
    """Write a million ratings by popularity (Zipf) and a mapping for them."""
    draw = np.random.default_rng(1)
    share = 1 / np.arange(1, ITEMS + 1)
    frame = pl.DataFrame(
        {
            "user_id": draw.integers(1, USERS + 1, ROWS),
            "item_id": draw.choice(ITEMS, ROWS, p=share / share.sum()) + 1,
            "rating": draw.integers(1, 11, ROWS) / 2,
            "timestamp": 1_500_000_000 + draw.integers(0, 200_000_000, ROWS),
        }
    )
    frame.write_parquet(folder / "ratings.parquet")
    mapping = folder / "mapping.toml"
    mapping.write_text(MAPPING)
    return mapping


async def measure(mapping: ImportMapping, home: Path) -> Runs:
    """Import twice into fresh embedded stores below `home`, folding the first import in between."""
    app: App = await build_app(load_settings(SCHEMA, {"KINDRED_HOME": str(home)}, home))
    s = app.stores
    stores = ImportStores(s.catalog, s.profiles, s.interactions, s.log, s.leases, s.lake)
    try:
        start = time.perf_counter()
        first = await run_import(mapping, stores)
        imported = time.perf_counter()
        await app.consumer.drain_to(*await s.log.ends())
        folded = time.perf_counter()
        again = await run_import(mapping, stores)
        done = time.perf_counter()
    finally:
        await app.close()
    return Runs(first, imported - start, again, done - folded, folded - imported)


def peer(mapping: ImportMapping) -> float:
    """Return the seconds that polars needs to read the interactions into memory and drop exact repeats."""
    assert mapping.interactions is not None
    files = find_files(mapping.interactions, Path(mapping.base), "interactions")
    readers = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}
    start = time.perf_counter()
    for file in files:
        readers[file.format](file.path).unique()
    return time.perf_counter() - start


def show(runs: Runs, bare: float, title: str) -> None:
    """Print the table."""
    console = Console(width=120)
    table = Table(title=f"Import of {title} ({machine()})")
    for column in ("what", "rows", "seconds", "rows a second", "limit", "× the peer's seconds"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows = [
        ("import: parse, de-duplicate, lake, history", runs.first.read, runs.first_seconds, "100,000"),
        ("fold into state", runs.first.new, runs.fold_seconds, "50,000"),
        ("import again: nothing new", runs.again.read, runs.again_seconds, ""),
    ]
    for what, count, seconds, limit in rows:
        table.add_row(what, f"{count:,}", f"{seconds:.2f}", f"{count / seconds:,.0f}", limit, f"{seconds / bare:.0f}")
    table.add_row("peer: polars reads the files and drops repeats", "", f"{bare:.2f}", "", "", "1")
    console.print(table)
    report = runs.first
    console.print(
        f"new {report.new:,}, again {runs.again.new:,}; left out {report.left_out}; rejected {report.rejected}"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the process: {peak:.0f} MiB (the peer's read included)")


def main(arguments: list[str] | None = None) -> None:
    """Measure one mapping, or generated ratings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mapping", type=Path, nargs="?")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").mkdir()
        path = options.mapping or generate(place / "data")
        mapping = load_mapping(path, options.data)
        runs = asyncio.run(measure(mapping, place / "home"))
        show(runs, peer(mapping), mapping.source)


if __name__ == "__main__":
    main(sys.argv[1:])

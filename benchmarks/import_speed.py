"""How fast an import is: parse, de-duplicate, lake and history, against reading the same file with polars alone.

python benchmarks/import_speed.py docs/guide/mappings/ml-1m.toml --data FOLDER
"""

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

import polars as pl

from kindred.adapters.local.leases import open_leases
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.adapters.sqlite.interactions import open_interactions
from kindred.adapters.sqlite.profiles import open_profiles
from kindred.ingest.importing import ImportMapping, ImportReport, ImportStores, load_mapping, run_import
from kindred.ingest.importing.readers import find_files


async def measure(mapping: ImportMapping, home: Path) -> list[tuple[ImportReport, float]]:
    """Import twice into fresh embedded stores below `home`; return each report with its seconds."""
    stores = ImportStores(
        catalog=await open_catalog("catalog.sqlite", home),
        profiles=await open_profiles("profiles.sqlite", home),
        interactions=await open_interactions("history.sqlite", home),
        log=await open_event_log("log", home),
        leases=await open_leases("leases", home),
        lake=home / "lake",
    )
    runs = []
    for _ in range(2):
        start = time.perf_counter()
        report = await run_import(mapping, stores)
        runs.append((report, time.perf_counter() - start))
    for store in (stores.catalog, stores.profiles, stores.interactions, stores.log, stores.leases):
        await store.close()
    return runs


def peer(mapping: ImportMapping) -> float:
    """Return the seconds that polars needs to read the interactions into memory and drop exact repeats."""
    assert mapping.interactions is not None
    files = find_files(mapping.interactions, Path(mapping.base), "interactions")
    readers = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}
    start = time.perf_counter()
    for file in files:
        readers[file.format](file.path).unique()
    return time.perf_counter() - start


def main() -> None:
    """Measure one mapping and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mapping", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    mapping = load_mapping(options.mapping, options.data)
    with tempfile.TemporaryDirectory() as folder:
        runs = asyncio.run(measure(mapping, Path(folder)))
    bare = peer(mapping)
    print(f"{'run':<8}{'read':>10}{'new':>10}{'known':>10}{'rejected':>10}{'seconds':>9}{'rows/s':>10}{'× peer':>8}")
    for name, (report, seconds) in zip(("first", "again"), runs, strict=True):
        counts = f"{report.read:>10}{report.new:>10}{report.known:>10}{report.rejected:>10}"
        print(f"{name:<8}{counts}{seconds:>9.2f}{report.read / seconds:>10.0f}{seconds / bare:>8.0f}")
    print(f"peer: polars reads the same files and drops repeats, {bare:.2f} s")
    report = runs[0][0]
    print("seconds by step:", report.seconds)
    print("left out:", report.left_out, " rejects:", report.rejects, " items:", report.items, " users:", report.users)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {peak:.0f} MiB (the peer's read included)")


if __name__ == "__main__":
    main()

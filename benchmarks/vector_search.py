"""Recall and time of vector search under filters that lie at random, near the query and far from it.

python -m benchmarks.vector_search [--items 1000000] [--of content|factors] [--queries 24]

Vectors are those of a made-up shop: `content`, what texts say, 128 dimensions; `factors`, what behaviour says, 64, none
for about a third of the items. The build and the exact answers (float32, every row) belong to a process that has ended
before the searches begin; queries are others than the index was tuned on. A search is told how many rows pass by
counting, as if every request had a filter of its own.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.scale.shop import Shop, ShopConfig
from benchmarks.servers import machine, memory_mib
from kindred.adapters.local.vector_cases import Case, filtered_cases, queries, recall
from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.core.bits import Bits
from kindred.ports.vectors import VectorIndex

DEPTH, ROUNDS, SEED = 500, 3, 1_234
LEAST = 0.95


@dataclass(frozen=True)
class Line:
    """What was measured of a family and share of filters; times in ms."""

    family: str
    share: float
    recall: float
    p50: float
    p99: float


def prepare(items: int, of: str, asked: int, folder: Path) -> None:
    """Write vectors, an index, what its build took, and questions with their exact answers."""
    shop = Shop.draw(ShopConfig(items=items))
    shape = (items, shop.config.content if of == "content" else shop.config.factors)
    rows = np.lib.format.open_memmap(folder / "rows.npy", mode="w+", dtype=np.float32, shape=shape)
    for part in shop.parts():
        rows[part.rows] = part.vectors() if of == "content" else part.factors()
    measured = LocalVectorIndexes().build(rows, folder / "index")
    np.savez(folder / "build.npz", allow_pickle=False, own=memory_mib(os.getpid())[1], **measured)
    live = np.flatnonzero(np.concatenate([part.any(axis=1) for part in np.array_split(rows, 64)]))
    cases = filtered_cases(rows, live, queries(rows, live, asked, SEED), DEPTH)
    for number, ((family, share), some) in enumerate(cases.items()):
        packed = np.stack([np.empty(0, np.uint8) if case.allowed is None else case.allowed.packed for case in some])
        np.savez(
            folder / f"cases-{number:02}.npz",
            allow_pickle=False,
            family=family,
            share=share,
            query=np.stack([case.query for case in some]),
            packed=packed,
            depth=np.array([case.depth for case in some]),
            least=np.array([case.least for case in some]),
        )


def read_cases(path: Path, size: int) -> tuple[str, float, list[Case]]:
    """Read what `prepare` wrote of a family and share."""
    kept = np.load(path, allow_pickle=False)
    cases = [
        Case(query, Bits(packed, size) if len(packed) else None, int(depth), float(least))
        for query, packed, depth, least in zip(kept["query"], kept["packed"], kept["depth"], kept["least"], strict=True)
    ]
    return str(kept["family"]), float(kept["share"]), cases


def measured(index: VectorIndex, vectors: NDArray[np.float32], folder: Path) -> Iterator[Line]:
    """Search every case; end with an error when a filter is broken."""
    for path in sorted(folder.glob("cases-*.npz")):
        family, share, cases = read_cases(path, index.size)
        seconds: list[float] = []

        def found(case: Case, seconds: list[float] = seconds) -> NDArray[np.float32]:
            ordinals = np.empty(0, np.int32)
            for _ in range(1 + ROUNDS):
                allowed = None if case.allowed is None else Bits(case.allowed.packed, case.allowed.size)
                started = time.perf_counter()
                ordinals, _ = index.search(case.query, case.depth, allowed)
                seconds.append(time.perf_counter() - started)
            if case.allowed is not None and not case.allowed.has(ordinals).all():
                raise SystemExit("a filter was broken")
            scores: NDArray[np.float32] = vectors[ordinals] @ case.query
            return scores

        share_found = recall(cases, found)
        warm = 1_000 * np.array(seconds).reshape(len(cases), 1 + ROUNDS)[:, 1:]
        yield Line(family, share, share_found, float(np.median(warm)), float(np.percentile(warm, 99)))


def print_table(items: int, of: str, lines: list[Line], folder: Path, opened: float) -> None:
    """Print the table, and what the index took."""
    build = np.load(folder / "build.npz", allow_pickle=False)
    table = Table(title=f"Vector search, {items:,} items, {of}, best {DEPTH}, one thread ({machine()})")
    table.add_column("filter")
    for head in ("passes", f"recall (≥ {LEAST})", "p50 ms", "p99 ms"):
        table.add_column(head, justify="right")
    for line in lines:
        figures = (f"{100 * line.share:g} %", f"{line.recall:.4f}", f"{line.p50:.2f}", f"{line.p99:.2f}")
        table.add_row(line.family, *figures)
    console = Console(width=120)
    console.print(table)
    least = min(line.recall for line in lines)
    console.print(f"least recall {least:.4f}; at the build, on other queries, {float(build['recall']):.4f}")
    pss, own = memory_mib(os.getpid())
    console.print(
        f"build {float(build['seconds']):.1f} s, of its own then {float(build['own']):,.0f} MiB; files "
        f"{float(build['bytes']) / 2**20:,.0f} MiB; opened in {1_000 * opened:.0f} ms; after all searches "
        f"{pss:,.0f} MiB PSS, of its own {own:,.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--of", choices=["content", "factors"], default="content")
    parser.add_argument("--queries", type=int, default=24)
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="kindred-vectors-") as name:
        folder = Path(name)
        arguments = (options.items, options.of, options.queries, folder)
        process = multiprocessing.get_context("spawn").Process(target=prepare, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
        vectors = np.load(folder / "rows.npy", mmap_mode="r")
        started = time.perf_counter()
        index = LocalVectorIndexes().open(folder / "index", vectors)
        opened = time.perf_counter() - started
        print_table(options.items, options.of, list(measured(index, vectors, folder)), folder, opened)


if __name__ == "__main__":
    main()

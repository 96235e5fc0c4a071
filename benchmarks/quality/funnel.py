"""The whole funnel against every source alone and popularity, from raw files to intervals.

python -m benchmarks.quality.funnel                      the packaged data, per-user split
python -m benchmarks.quality.funnel --mapping docs/guide/mappings/online-retail.toml --data FOLDER --protocol rolling
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kindred.adapters.local.leases import open_leases
from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.adapters.sqlite.interactions import open_interactions
from kindred.adapters.sqlite.profiles import open_profiles
from kindred.ingest.importing import ImportMapping, ImportStores, load_mapping, run_import
from kindred.sample import sample_folder
from kindred.training.collect import collect
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.evaluate import FUNNEL, EvaluationConfig, EvaluationReport, OriginFacts, run_evaluation
from kindred.training.replay import ReplayPorts

METRICS = ("ndcg@10", "ndcg@20", "recall@10", "recall@20", "hit_rate@10", "novelty", "diversity", "cold_share")
DAY = 86_400
WIDTH = 150


@asynccontextmanager
async def imported(
    mapping: ImportMapping, home: Path, traits: Sequence[str] = ()
) -> AsyncIterator[tuple[Dataset, ReplayPorts]]:
    """Import into an empty home; give what a training run would see, and what a replay needs.

    `traits`: what segments are to be made by.
    """
    stores = ImportStores(
        await open_catalog("catalog.sqlite", home),
        await open_profiles("profiles.sqlite", home),
        await open_interactions("history.sqlite", home),
        await open_event_log("log", home),
        await open_leases("leases", home),
        home / "lake",
    )
    try:
        await run_import(mapping, stores)
        yield await collect(stores, traits=traits), ReplayPorts(stores.catalog, LocalVectorIndexes())
    finally:
        for store in (stores.catalog, stores.profiles, stores.interactions, stores.log, stores.leases):
            await store.close()


async def measure(mapping: ImportMapping, options: EvaluationConfig, home: Path) -> EvaluationReport:
    """Evaluate what a training run would see."""
    async with imported(mapping, home) as (dataset, ports):
        return await run_evaluation(dataset, TrainConfigs(), ports, options, Console(stderr=True).print)


def show(report: EvaluationReport, title: str) -> None:
    """Print one row per system, with the funnel's paired difference to it on NDCG@10."""
    table = Table(title=f"{title}, {report.protocol}: {report.tables.metrics[FUNNEL]['ndcg@10'].users} users")
    for column in ("system", *METRICS, "coverage@20", "funnel minus it, NDCG@10"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name, metrics in report.tables.metrics.items():
        gap = report.tables.funnel_minus.get(name, {}).get("ndcg@10")
        said = "" if gap is None else f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
        figures = [f"{metrics[metric].mean:.4f}" for metric in METRICS]
        table.add_row(name, *figures, f"{report.tables.totals[name]['coverage@20']:.4f}", said)
    console = Console(width=WIDTH)
    console.print(table)
    for origin in report.origins:
        blend = ", ".join(f"{name} {weight:.2f}" for name, weight in origin.blend.items())
        moment = origin.cut or "each user's own moment"
        console.print(f"{moment}: {origin.users} users, {origin.cold_users} without history left out; blend {blend}")
        console.print(f"  {ranker_line(origin)}")
    console.print(f"{report.seconds:g} s")


def ranker_line(origin: OriginFacts) -> str:
    """Say what learning found of the ranker inside a training part."""
    found = origin.ranker
    if found is None:
        return "no ranker: it was not better than the blend, or there was too little to learn from"
    mean, low, high = found.difference
    errors = ", ".join(f"{name} {one.error:.4f}" for name, one in found.reliability.items())
    first = ", ".join(f"{name} {share:.2f}" for name, share in list(found.importance.items())[:8])
    said = f"ranker {found.ndcg:.4f} to blend {found.blend_ndcg:.4f} ({mean:+.4f} [{low:+.4f}, {high:+.4f}])"
    return f"{said}, {found.users} users; calibration error {errors}; {first}"


def protocol_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of which data is judged, and by which protocol."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mapping", type=Path, default=sample_folder() / "mapping.toml", help="a mapping file")
    parser.add_argument("--data", type=Path, help="the folder of its files, where that is another")
    parser.add_argument("--protocol", choices=("per-user", "rolling"), default="per-user")
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--horizon-days", type=float)
    parser.add_argument("--max-users", type=int)
    return parser


def protocol(given: argparse.Namespace) -> EvaluationConfig:
    """Return the protocol that such a parser was given."""
    return EvaluationConfig(
        protocol=given.protocol,
        origins=given.origins,
        horizon=given.horizon_days * DAY if given.horizon_days else None,
        max_users=given.max_users,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = protocol_parser(__doc__)
    parser.add_argument("--json", type=Path, help="write the whole report here")
    given = parser.parse_args(arguments or [])
    mapping, options = load_mapping(given.mapping, given.data), protocol(given)
    with tempfile.TemporaryDirectory(prefix="kindred-quality-") as home:
        report = asyncio.run(measure(mapping, options, Path(home)))
    show(report, mapping.source)
    if given.json:
        given.json.write_text(json.dumps(report.to_dict(), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

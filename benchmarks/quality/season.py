"""What `recommend.season` brings: items due in their month proposed and raised, against the same funnel without.

python -m benchmarks.quality.season --mapping docs/guide/mappings/online-retail.toml --data FOLDER --protocol rolling \
  --horizon-days 10

A season needs a year to come back: only data that is longer has anything to find, and only splits in which the month
asked about has been seen before.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality.funnel import imported, protocol, protocol_parser
from benchmarks.servers import machine
from kindred.core.clock import DAY, format_time, parse_time
from kindred.ingest.importing import ImportMapping, load_mapping
from kindred.models.preference import Interactions
from kindred.models.season import fit_season
from kindred.training.config import TrainConfigs
from kindred.training.evaluate import FUNNEL, EvaluationConfig, replayed_folds
from kindred.training.judging import EvaluationTables, tabulated

POWERS = (0.25, 0.5, 1.0)
METRICS = ("ndcg@10", "ndcg@20", "recall@20")
SILENT = 90 * DAY
WIDTH = 150


def due_at(rows: Interactions, cut: int, n_items: int) -> str:
    """Say how many items are due at a split (ms), and how many of them no other source would think of."""
    past = rows.timestamps < cut
    model = fit_season(rows.users[past], rows.items[past], rows.timestamps[past], n_items, cut)
    due, _ = model.due(cut)
    heard = np.unique(rows.items[past & (rows.timestamps >= cut - SILENT)])
    return f"{len(due)} items due, {len(np.setdiff1d(due, heard))} of them silent for 90 days"


async def measure(mapping: ImportMapping, options: EvaluationConfig, home: Path, console: Console) -> EvaluationTables:
    """Replay with and without seasons, over the same models and users; say what is due at each split."""
    async with imported(mapping, home) as (dataset, ports):
        configs = TrainConfigs()
        settings = {
            f"season {power:g}": msgspec.structs.replace(configs.recommend, season=power, exploration=0.0)
            for power in POWERS
        }
        folds, facts = await replayed_folds(dataset, configs, ports, options, Console(stderr=True).print, settings)
        for cut in (parse_time(fact.cut, "/cut") for fact in facts if fact.cut):
            console.print(f"{format_time(cut)}: {due_at(dataset.interactions, cut, dataset.n_items)}")
    return tabulated(folds, FUNNEL, int(dataset.listed().sum()), options.resamples, options.seed)


def show(tables: EvaluationTables, title: str) -> Table:
    """Return a row per power, with its paired difference to none."""
    shown = Table(title=f"{title}: {tables.metrics[FUNNEL]['ndcg@10'].users} replays")
    for column in ("recommend.season", *METRICS, "NDCG@10 minus season 0"):
        shown.add_column(column, justify="left" if column == "recommend.season" else "right")
    for name in (FUNNEL, *(f"season {power:g}" for power in POWERS)):
        gap = tables.funnel_minus.get(name, {}).get("ndcg@10")
        said = "" if gap is None else f"{-gap.mean:+.4f} [{-gap.high:+.4f}, {-gap.low:+.4f}]"
        figures = [f"{tables.metrics[name][metric].mean:.4f}" for metric in METRICS]
        shown.add_row("0 (default)" if name == FUNNEL else name.removeprefix("season "), *figures, said)
    return shown


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = protocol_parser(__doc__).parse_args(arguments or [])
    mapping, options = load_mapping(given.mapping, given.data), protocol(given)
    console = Console(width=WIDTH)
    with tempfile.TemporaryDirectory(prefix="kindred-season-") as home:
        tables = asyncio.run(measure(mapping, options, Path(home), console))
    console.print(show(tables, f"{mapping.source}, {given.protocol}"))
    console.print(machine())


if __name__ == "__main__":
    main(sys.argv[1:])

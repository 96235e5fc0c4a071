"""What diversity and exploration cost and bring on real slates: curves of MMR and DPP, and four targets.

python -m benchmarks.quality.diversity                      the packaged data, per-user split
python -m benchmarks.quality.diversity --mapping docs/guide/mappings/online-retail.toml --data FOLDER --protocol rolling
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
from kindred.evaluation.beyond_accuracy import coverage, relative_novelty, serendipitous_share, unique_categories
from kindred.ingest.importing import ImportMapping, load_mapping
from kindred.recommend.config import RecommendConfig
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.evaluate import EXPLORING, FUNNEL, EvaluationConfig, replayed_folds
from kindred.training.judging import EvaluationTables, FoldLists, tabulated

CURVE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
PRIMITIVE = ("popular", "content")
TARGETS = {"unique categories": 0.3, "coverage": 0.2, "novelty": 0.1, "serendipitous hits": 0.1}
WIDTH = 130


def variants(base: RecommendConfig) -> dict[str, RecommendConfig]:
    """Return the settings along both curves, without exploration and without caps, so that one thing moves."""
    plain = msgspec.structs.replace(base, exploration=0.0, category_cap=1.0)
    found = {"score alone": msgspec.structs.replace(plain, diversity=0.0)}
    for kind in ("mmr", "dpp"):
        for diversity in CURVE[1:]:
            found[f"{kind} {diversity:g}"] = msgspec.structs.replace(plain, reranker=kind, diversity=diversity)
    for part in (0.0, 1.0):
        name = "exploring, new alone" if part == 0 else "exploring, serendipity alone"
        found[name] = msgspec.structs.replace(base, serendipity=part)
    return found


async def measure(
    mapping: ImportMapping, options: EvaluationConfig, home: Path
) -> tuple[Dataset, list[FoldLists], EvaluationTables]:
    """Replay every variant over the same models and users."""
    async with imported(mapping, home) as (dataset, ports):
        configs = TrainConfigs()
        folds, _ = await replayed_folds(
            dataset, configs, ports, options, Console(stderr=True).print, variants(configs.recommend)
        )
    listed = int(dataset.listed().sum())
    return dataset, folds, tabulated(folds, "score alone", listed, options.resamples, options.seed)


def curve(tables: EvaluationTables, title: str) -> Table:
    """Return NDCG against difference, with the price of each step."""
    shown = Table(title=f"{title}: {tables.metrics[FUNNEL]['ndcg@10'].users} users, content vectors, no cap")
    columns = ("system", "NDCG@10", "NDCG@20", "difference in a list", "coverage@20", "NDCG@10 minus score alone")
    for column in columns:
        shown.add_column(column, justify="left" if column == "system" else "right")
    for name, metrics in tables.metrics.items():
        if not name.startswith(("score", "mmr", "dpp")):
            continue
        gap = tables.funnel_minus.get(name, {}).get("ndcg@10")
        said = "" if gap is None else f"{-gap.mean:+.4f} [{-gap.high:+.4f}, {-gap.low:+.4f}]"
        figures = [f"{metrics[metric].mean:.4f}" for metric in ("ndcg@10", "ndcg@20", "diversity")]
        shown.add_row(name, *figures, f"{tables.totals[name]['coverage@20']:.4f}", said)
    return shown


def targets(dataset: Dataset, folds: list[FoldLists], tables: EvaluationTables) -> Table:
    """Return what exploration is to bring, with the limit above each figure."""
    listed = int(dataset.listed().sum())
    primary = {None: -1}
    codes = np.array(
        [primary.setdefault(None if one is None else one.item.category, len(primary) - 1) for one in dataset.items]
    )
    shown = Table(title="targets, lists of 20")
    shown.add_column("system")
    for name, limit in TARGETS.items():
        shown.add_column(f"{name} > {limit:g}", justify="right")
    shown.add_column("hits", justify="right")
    shown.add_column("NDCG@10", justify="right")
    exploring = (EXPLORING, "exploring, new alone", "exploring, serendipity alone")
    names = (FUNNEL, *exploring, "mmr 0.3", "mmr 0.5", "dpp 0.2", "dpp 0.5", "popular")
    for name in (one for one in names if one in tables.metrics):
        ranked = np.concatenate([fold.ranked[name] for fold in folds])
        found = [
            serendipitous_share(fold.ranked[name], fold.wanted, [fold.ranked[one] for one in PRIMITIVE])
            for fold in folds
        ]
        hits, surprising = (int(sum(part[place].sum() for part in found)) for place in (0, 1))
        novelty = np.concatenate([relative_novelty(fold.ranked[name], fold.counts) for fold in folds])
        everything = np.unique(ranked[ranked >= 0])
        figures = {
            "unique categories": float(np.nanmean(unique_categories(ranked, codes))),
            "coverage": coverage(everything[None], dataset.n_items) * dataset.n_items / listed,
            "novelty": float(np.nanmean(novelty)),
            "serendipitous hits": surprising / max(hits, 1),
        }
        accuracy = tables.metrics[name]["ndcg@10"].mean
        shown.add_row(name, *(f"{value:.3f}" for value in figures.values()), str(hits), f"{accuracy:.4f}")
    return shown


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    given = protocol_parser(__doc__).parse_args(arguments or [])
    mapping, options = load_mapping(given.mapping, given.data), protocol(given)
    with tempfile.TemporaryDirectory(prefix="kindred-diversity-") as home:
        dataset, folds, tables = asyncio.run(measure(mapping, options, Path(home)))
    console = Console(width=WIDTH)
    console.print(curve(tables, f"{mapping.source}, {given.protocol}"))
    console.print(targets(dataset, folds, tables))
    console.print(machine())


if __name__ == "__main__":
    main(sys.argv[1:])

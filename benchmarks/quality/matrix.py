"""Every model that needs no network on MovieLens, and ALS beside the `implicit` package: quality, time, peak memory.

`python -m benchmarks.quality.matrix --data FOLDER [--dataset ml-latest-small] [--systems als,ease]`. The last fifth of
each user's items is to be found, on ML-1M in SASRec's order. `--validation` judges on the last fifth of what is learnt
from instead, and keeps no row: that is where settings were compared. Each system runs in a process of its own, so that
its peak memory is its own, on one thread; seconds are of one core's work. The last lines set ALS against `implicit`,
and item-item and EASE against the five seconds that both together may take.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import NamedTuple

import numpy as np
import polars as pl
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.quality.record import Row, peak_mib, record
from benchmarks.quality.two_tower import Rows, load
from kindred.app.sections import SCHEMA
from kindred.core.candidates import Floats, Ordinals
from kindred.evaluation import metrics
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import rank_all
from kindred.models.als import AlsConfig
from kindred.models.ease import EaseConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.protocol import Retriever, UserHistory
from kindred.settings.load import load_settings
from kindred.training.fit.als import fit_als
from kindred.training.fit.ease import fit_ease
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.item_item import fit_item_item

CUTOFF = 20
TITLE = "{}: models without a network"
PROTOCOL = (
    "The last fifth of each user's items, {}, is to be found among all items but those learnt from; ties by id; "
    "{:,} users. Seconds are of one core's work."
)
COMMAND = "python -m benchmarks.quality.matrix --data FOLDER --dataset {} --systems {}"
LIMIT = 5.0
"""Seconds that item-item and EASE may take together."""
DEFAULTS = "nothing: defaults"
VALIDATION = "on the last fifth of what is learnt from, ML-1M: "
Scores = Callable[[int, int], Floats]
"""Scores of the users from one to another for every item."""


def _popularity(rows: Rows) -> Scores:
    counts = np.bincount(rows.items[~rows.wanted], minlength=rows.shape[1]).astype(np.float32)
    return lambda start, stop: np.tile(counts, (stop - start, 1))


def _retriever(fit: Callable[[FitInput], Retriever]) -> Callable[[Rows], Scores]:
    def fitted(rows: Rows) -> Scores:
        learnt, liked = rows.learnt()
        model = fit(FitInput(liked, learnt, *rows.shape, 0, threads=1))
        everything, confidence = np.arange(rows.shape[1], dtype=np.int32), float(liked.confidence[0])

        def history(user: int) -> UserHistory:
            found = rows.history(user)
            return replace(found, confidence=np.full(len(found.items), confidence, np.float32))

        return lambda start, stop: np.stack([model.score(history(user), everything) for user in range(start, stop)])

    return fitted


def _implicit(**settings: float) -> Callable[[Rows], Scores]:
    def fitted(rows: Rows) -> Scores:
        learnt, confidence = ~rows.wanted, 1.0 + settings["alpha"]
        values = np.full(int(learnt.sum()), confidence, np.float32)
        matrix = csr_matrix((values, (rows.users[learnt], rows.items[learnt])), shape=rows.shape)
        model = AlternatingLeastSquares(
            factors=128,
            regularization=settings["regularization"],
            iterations=int(settings.get("iterations", 15)),
            num_threads=1,
            random_state=1,
        )
        model.fit(matrix, show_progress=False)
        return lambda start, stop: np.asarray(model.user_factors[start:stop] @ model.item_factors.T)

    return fitted


def _item_item(**settings: object) -> Callable[[Rows], Scores]:
    return _retriever(lambda data: fit_item_item(data, ItemItemConfig(**settings)))  # type: ignore[arg-type]


def _seed_als(rows: Rows) -> Scores:
    """Fit what the preset says; no settings file stands in this folder."""
    settings = load_settings(SCHEMA, {"KINDRED_PRESET": "seed-als"}, Path(__file__).parent)
    return _retriever(lambda data: fit_als(data, settings.section(AlsConfig)))(rows)


SYSTEMS: Mapping[str, tuple[Callable[[Rows], Scores], str]] = {
    "popularity": (_popularity, "nothing"),
    "cosine": (_item_item(), DEFAULTS),
    "jaccard": (_item_item(similarity="jaccard"), DEFAULTS),
    "llr": (_item_item(similarity="llr"), DEFAULTS),
    "bm25": (_item_item(similarity="bm25"), DEFAULTS),
    "ease": (
        _retriever(lambda data: fit_ease(data, EaseConfig())),
        VALIDATION + "λ was looked at, of which 800 was slightly better there; the default of 500 stayed",
    ),
    "als": (
        _retriever(lambda data: fit_als(data, AlsConfig())),
        VALIDATION + "regularization_exponent 1 and 8 iterations became defaults there; λ of 30 was in the same grid",
    ),
    "als-one-lambda": (
        _retriever(lambda data: fit_als(data, AlsConfig(regularization_exponent=0.0))),
        "as als, but regularization_exponent 0",
    ),
    "seed-als": (_seed_als, "nothing: the preset"),
    "implicit": (_implicit(regularization=30.0, alpha=1.0), VALIDATION + "λ of 1, 10, 30, 100, alpha of 1, 2, 5"),
    "implicit-8": (_implicit(regularization=30.0, alpha=1.0, iterations=8), "as implicit, but 8 iterations for 15"),
    "implicit-defaults": (_implicit(regularization=0.01, alpha=1.0), "nothing: its defaults, but 128 factors"),
}


def latest(users: Ordinals, items: Ordinals) -> Rows:
    """Return rows, by user and oldest first, of which each user's last fifth is to be found."""
    sizes = np.bincount(users)
    behind = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(users))
    return Rows(users, items, behind <= np.maximum(1, np.round(0.2 * sizes))[users])


def validation(rows: Rows) -> Rows:
    """Return what is learnt from, its last fifth to be found."""
    return latest(rows.users[~rows.wanted], rows.items[~rows.wanted])


def _ml_1m(data: Path) -> Rows:
    return load(data / "ml-1m", "latest")


def _ml_latest_small(data: Path) -> Rows:
    frame = pl.read_parquet(data / "ml-latest-small" / "interactions.parquet").sort("user_id", "timestamp", "item_id")
    ids = (frame[column].rank("dense").to_numpy().astype(np.int32) - 1 for column in ("user_id", "item_id"))
    return latest(*ids)


class Dataset(NamedTuple):
    """A data set: how it is read from the folder of all, its name and users, the order of its items, where it is kept.

    Every rating counts as a pair, whatever it says.
    """

    rows: Callable[[Path], Rows]
    name: str
    users: int
    order: str
    kept: str


DATASETS: Mapping[str, Dataset] = {
    "ml-1m": Dataset(_ml_1m, "ML-1M", 6_040, "in SASRec's order", "matrix"),
    "ml-latest-small": Dataset(
        _ml_latest_small, "MovieLens latest-small", 610, "by time, then by id", "matrix-ml-latest-small"
    ),
}


def judge(scores: Scores, rows: Rows) -> dict[str, float]:
    """Return the mean recall and NDCG over users."""
    n_users, n_items = rows.shape
    seen = from_pairs(rows.users[~rows.wanted], rows.items[~rows.wanted], n_users)
    wanted = from_pairs(rows.users[rows.wanted], rows.items[rows.wanted], n_users)
    found = metrics.judge(rank_all(scores, seen, n_items, CUTOFF), wanted)
    values = {f"recall@{CUTOFF}": metrics.recall(found, CUTOFF), f"ndcg@{CUTOFF}": metrics.ndcg(found, CUTOFF)}
    return {name: round(float(np.nanmean(value)), 4) for name, value in values.items()}


def run(name: str, dataset: str, data: Path, validate: bool) -> Row:
    """Fit one system and judge it."""
    rows = DATASETS[dataset].rows(data)
    rows = validation(rows) if validate else rows
    fit, tuned = SYSTEMS[name]
    started = process_time()
    with threadpool_limits(limits=1):
        scores = fit(rows)
    seconds, peak = process_time() - started, peak_mib()
    figures = judge(scores, rows)
    print(f"{name:18} {figures}  {seconds:6.2f} s  {peak:5.0f} MiB", flush=True)
    return Row(
        system=name,
        figures=dict(figures),
        tuned=tuned,
        command=COMMAND.format(dataset, name),
        seconds=round(seconds, 2),
        peak_mib=round(peak),
    )


def compared(rows: Mapping[str, Row]) -> Iterator[str]:
    """Say how systems of one run stand to one another and to the limit."""
    for name in sorted({"implicit", "implicit-8"} & set(rows)) if "als" in rows else ():
        ours, theirs = rows["als"], rows[name]
        ratios = {metric: ours.figures[metric] / theirs.figures[metric] for metric in ours.figures}  # type: ignore[operator]
        said = ", ".join(f"{metric} {ratio:.3f}" for metric, ratio in ratios.items())
        yield f"als / {name}: seconds {ours.seconds / theirs.seconds:.2f}, {said}"
    if {"cosine", "ease"} <= set(rows):
        seconds = rows["cosine"].seconds + rows["ease"].seconds
        yield f"item-item and EASE: {seconds:.1f} s of at most {LIMIT:.0f} s"


def main() -> None:
    """Run what is asked for, one process after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-1m")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--validation", action="store_true")
    asked = parser.parse_args()
    chosen, spawn, found = DATASETS[asked.dataset], multiprocessing.get_context("spawn"), {}
    title, protocol = TITLE.format(chosen.name), PROTOCOL.format(chosen.order, chosen.users)
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as alone:
        for name in asked.systems.split(","):
            found[name] = alone.submit(run, name, asked.dataset, asked.data, asked.validation).result()
            if not asked.validation:
                record(chosen.kept, title, protocol, found[name])
    print("\n".join(compared(found)))


if __name__ == "__main__":
    main()

"""The two towers on ML-1M beside EASE and ALS: same rows, same run, each model as it is served.

`python -m benchmarks.quality.two_tower --data FOLDER [--state FOLDER] [--models two_tower,als] [--split latest]`. Two
splits, both in SASRec's order: `last`, each user's last item is to be found; `latest`, the last fifth of each user's
items. No setting is tuned: all models run on their defaults; the two towers stop early by users that they hold out of
the training rows themselves. Each model runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import multiprocessing
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.quality.record import Row, peak_mib, record
from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.evaluation import metrics
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import rank_all
from kindred.models.preference import Interactions, Preferences, preferences
from kindred.models.protocol import Retriever, UserHistory
from kindred.models.two_tower import TwoTowerModel
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.registry import FITTINGS, fit_retriever

SPLITS = {"last": 10, "latest": 20}
"""By name: the cutoff of its metrics."""
TITLE = "Two towers on ML-1M"
PROTOCOL = (
    "ML-1M in SASRec's order. `@10`: each user's last item is to be found (leave-one-out). `@20`: the last fifth of "
    "each user's items. All items but those learnt from are ranked, ties by id."
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Users, items and which rows are to be found, by user, oldest first; all (m,)."""

    users: Ordinals
    items: Ordinals
    wanted: Mask

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of users and of items."""
        return int(self.users.max()) + 1, int(self.items.max()) + 1

    def learnt(self) -> tuple[Interactions, Preferences]:
        """Return the rows that models are fitted on; their times are unknown, their order is."""
        users, items = self.users[~self.wanted], self.items[~self.wanted]
        n = len(users)
        none, codes = np.full(n, -1, np.int64), np.zeros(n, np.int16)
        rows = Interactions(users, items, none, codes, np.full(n, np.nan, np.float32), ("view",))
        return rows, preferences(rows, 0)

    def history(self, user: int) -> UserHistory:
        """Return what a user did in the rows that models are fitted on, newest first."""
        start, stop = np.searchsorted(self.users, (user, user + 1))
        items = self.items[start:stop][~self.wanted[start:stop]][::-1]
        n = len(items)
        return UserHistory(items, np.full(n, 2, np.float32), np.ones(n, np.bool_), np.full(n, -1, np.int64))


def load(folder: Path, split: str) -> Rows:
    """Read the pairs and mark what is to be found."""
    frame = pl.read_parquet(folder / "sequences.parquet").sort("user_id", "position")
    users = frame["user_id"].to_numpy().astype(np.int32) - 1
    items = frame["item_id"].to_numpy().astype(np.int32) - 1
    sizes = np.bincount(users)
    behind = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(users))
    hidden = np.ones(len(sizes)) if split == "last" else np.maximum(1, np.round(0.2 * sizes))
    return Rows(users, items, behind <= hidden[users])


def judge(model: Retriever, rows: Rows, cutoff: int) -> dict[str, float]:
    """Return the mean recall and NDCG over users."""
    n_users, n_items = rows.shape
    everything = np.arange(n_items, dtype=np.int32)

    def scores(start: int, stop: int) -> Floats:
        return np.stack([model.score(rows.history(user), everything) for user in range(start, stop)])

    seen = from_pairs(rows.users[~rows.wanted], rows.items[~rows.wanted], n_users)
    found = metrics.judge(
        rank_all(scores, seen, n_items, cutoff),
        from_pairs(rows.users[rows.wanted], rows.items[rows.wanted], n_users),
    )
    values: dict[str, NDArray[np.float64]] = {
        f"recall@{cutoff}": metrics.recall(found, cutoff),
        f"ndcg@{cutoff}": metrics.ndcg(found, cutoff),
    }
    return {name: round(float(np.nanmean(value)), 4) for name, value in values.items()}


def run(name: str, split: str, data: Path, state: Path | None) -> None:
    """Fit one model on one split, judge it, print and keep its row."""
    rows = load(data / "ml-1m", split)
    learnt, liked = rows.learnt()
    said: list[str] = []
    given = FitInput(liked, learnt, *rows.shape, 0, threads=1, work=state, progress=lambda line: _say(line, said))
    started, busy = perf_counter(), process_time()
    model = fit_retriever(name, given, FITTINGS[name].config())
    seconds, busy = perf_counter() - started, process_time() - busy
    figures = judge(model, rows, SPLITS[split])
    print(f"{name} {split}: {figures}, {seconds:.0f} s ({busy:.0f} s of one core), {peak_mib():.0f} MiB", flush=True)
    row = Row(
        system=f"{name}, {split}",
        figures=dict(figures),
        tuned="nothing",
        command=f"python -m benchmarks.quality.two_tower --models {name} --split {split} --data FOLDER",
        seconds=round(busy),
        peak_mib=round(peak_mib()),
        note="seconds of one core's work" + _passes(model, said),
    )
    record("two_tower", TITLE, PROTOCOL, row)


def _say(line: str, said: list[str]) -> None:
    said.append(line)
    sys.stderr.write(line + "\n")


def _passes(model: Retriever, said: list[str]) -> str:
    """Return how many passes a network took, and of how many the seconds are where a checkpoint held the others."""
    if not isinstance(model, TwoTowerModel):
        return ""
    here, every = sum("epoch" in line for line in said), len(model.epochs)
    return f" for {here} of {every} passes, the others are a checkpoint's" if here < every else f" for {every} passes"


def main() -> None:
    """Run what is asked for, one process after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--models", default="als,ease,two_tower")
    parser.add_argument("--split", choices=SPLITS, action="append")
    asked = parser.parse_args()
    for split in asked.split or SPLITS:
        for name in asked.models.split(","):
            each = multiprocessing.get_context("spawn").Process(target=run, args=(name, split, asked.data, asked.state))
            each.start()
            each.join()


if __name__ == "__main__":
    main()

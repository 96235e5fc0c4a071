"""The sequential model on Beauty, Sports and ML-1M: leave-one-out, the last item is to be found among all.

`python -m benchmarks.quality.sequences s3rec-beauty --data FOLDER --state FOLDER`. Each user's last item is the test
and the one before it the validation, which chooses the number of passes and the settings below; neither is learnt from.
The history at the test holds the validation item. Ranked are all items that the history does not hold. What is measured
is the model as it is served: the exported encoder, in the form that training chose, user by user; then together with
item-item neighbours, whose weight the validation items choose. `--system` fits another row of the same table. `--state`
keeps checkpoints, from which an interrupted run goes on.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.quality.record import Row, intervals, peak_mib, record
from kindred.core.candidates import Floats, Ordinals
from kindred.evaluation import metrics
from kindred.evaluation.intervals import mean_intervals
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import rank_all
from kindred.models.content import ContentConfig
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.models.preference import Interactions, Preferences
from kindred.models.protocol import UserHistory
from kindred.models.sequential import SequentialConfig, SequentialModel
from kindred.models.text import ItemText
from kindred.training.fit.content import fit_content
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.item_item import fit_item_item
from kindred.training.neural.sequential import fit_sequential

K = 10
ALL = 1_000_000
EVENTS = ("interaction",)
TEST, VALIDATION = 1, 2
"""How many of a user's latest items are hidden when the first of these is to be found."""
WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
WEIGHED_USERS = 4_000
NEIGHBOURS = ItemItemConfig(neighbours=200, shrinkage=10.0, amplification=1.0)
STUDY = "arXiv:2508.06450 (eSASRec, Tikhonovich et al. 2025), its repository's table"
PROTOCOL = (
    "Test: each user's last item; validation: the one before; fitted on the rest. All items but those of the history "
    "are ranked, ties by id. 95 % bootstrap intervals over users."
)


class Task(msgspec.Struct, frozen=True):
    """One dataset: its file, the settings that its validation items chose, and the best that is published."""

    title: str
    file: str
    tuned: SequentialConfig
    recall: float
    ndcg: float
    best: str


AMAZON = SequentialConfig(dropout=0.4, epochs=36, validation_users=ALL)
LONG = msgspec.structs.replace(AMAZON, layers=2, heads=2, max_length=200, dropout=0.2, batch=4_096, epochs=22)
TASKS = {
    "s3rec-beauty": Task(
        "Beauty, leave-one-out (S3-Rec)", "interactions.parquet", AMAZON, 0.0928, 0.0531, "eSASRec / SASRec+SS"
    ),
    "s3rec-sports": Task(
        "Sports, leave-one-out (S3-Rec)",
        "interactions.parquet",
        msgspec.structs.replace(AMAZON, epochs=24),
        0.0569,
        0.0323,
        "SASRec+SS / eSASRec",
    ),
    "ml-1m": Task(
        "ML-1M, leave-one-out in SASRec's order", "sequences.parquet", LONG, 0.3164, 0.1813, "FuXi-alpha, 1-4 layers"
    ),
}
# What the study calls SASRec with sampled softmax: one layer and head, 256 negatives, nothing known of items.
PLAIN = SequentialConfig(dropout=0.2, temperature=0.0, negatives=256, epochs=24, validation_users=ALL)
SEED = SequentialConfig(layers=4, heads=8, inner=512, epochs=8, validation_users=ALL)


@dataclass(frozen=True, slots=True)
class Rows:
    """A dataset's rows by user, oldest first: user u's are `[starts[u], starts[u + 1])` of `items`."""

    starts: NDArray[np.int64]
    items: Ordinals
    n_items: int
    content: Floats | None

    @property
    def n_users(self) -> int:
        """Return the number of users."""
        return len(self.starts) - 1

    def fit_input(self, hidden: int, work: Path | None = None) -> FitInput:
        """Return all but each user's latest `hidden` items, as models are fitted on it."""
        ends = np.repeat(self.starts[1:], np.diff(self.starts))
        learnt = np.arange(len(self.items)) < ends - hidden
        users = np.repeat(np.arange(self.n_users), np.diff(self.starts))[learnt].astype(np.int32)
        items, n = self.items[learnt], int(learnt.sum())
        unknown, nan = np.full(n, -1, np.int64), np.full(n, np.nan, np.float32)
        ones, order = np.ones(n, np.float32), np.lexsort((items, users))
        return FitInput(
            Preferences(users[order], items[order], ones, ones, np.ones(n, np.bool_), unknown),
            Interactions(users, items, unknown, np.zeros(n, np.int16), nan, EVENTS),
            self.n_users,
            self.n_items,
            -1,
            self.content,
            threads=1,
            work=work,
            progress=_say,
        )

    def history(self, user: int, hidden: int) -> UserHistory:
        """Return a user's items but the latest `hidden`, newest first."""
        items = self.items[self.starts[user] : self.starts[user + 1] - hidden][::-1]
        n = len(items)
        return UserHistory(items, np.ones(n, np.float32), np.ones(n, np.bool_), np.full(n, -1, np.int64))


@dataclass(frozen=True, slots=True)
class Answers:
    """What the models say of users when `hidden` items are hidden: vectors (u, d) and neighbours' scores (u, n)."""

    users: NDArray[np.intp]
    hidden: int
    vectors: Floats
    neighbours: csr_matrix

    @classmethod
    def ask(
        cls, rows: Rows, users: NDArray[np.intp], hidden: int, model: SequentialModel, near: ItemItemModel
    ) -> "Answers":
        """Ask both models about each user as a request would; the best neighbour scores 1."""
        vectors, found, sizes = [], [], []
        for user in users.tolist():
            history = rows.history(user, hidden)
            vectors.append(model.represent(history))
            items, scores = near.spread(history)
            found.append((items, scores / scores.max(initial=1e-9)))
            sizes.append(len(items))
        items, scores = (np.concatenate(columns) for columns in zip(*found, strict=True))
        matrix = csr_matrix((scores, items, np.append(0, np.cumsum(sizes))), shape=(len(users), rows.n_items))
        return cls(users, hidden, np.stack(vectors), matrix)

    def judge(self, rows: Rows, table: Floats, weight: float) -> dict[str, NDArray[np.float64]]:
        """Return each user's metrics for products with `table (n, d)` plus `weight` times the neighbours' scores."""
        seen = [rows.history(user, self.hidden).items for user in self.users.tolist()]
        each = np.arange(len(self.users))

        def scores(start: int, stop: int) -> Floats:
            block: Floats = self.vectors[start:stop] @ table.T
            return block + weight * self.neighbours[start:stop].toarray() if weight else block

        sets = from_pairs(np.repeat(each, [len(items) for items in seen]), np.concatenate(seen), len(each))
        ranked = rank_all(scores, sets, rows.n_items, K)
        wanted = rows.items[rows.starts[self.users + 1] - self.hidden]
        found = metrics.judge(ranked, from_pairs(each, wanted, len(each)))
        return {f"recall@{K}": metrics.recall(found, K), f"ndcg@{K}": metrics.ndcg(found, K)}


def load(folder: Path, file: str) -> Rows:
    """Read a dataset; items and users are numbered in the order of their ids."""
    frame = pl.read_parquet(folder / file).sort("user_id", "position")
    ids, items = np.unique(frame["item_id"].to_numpy(), return_inverse=True)
    sizes = np.unique(frame["user_id"].to_numpy(), return_counts=True)[1]
    starts = np.concatenate(([0], np.cumsum(sizes)))
    return Rows(starts, items.astype(np.int32), len(ids), _content(folder / "items.parquet", ids))


def _content(file: Path, ids: NDArray[np.int64]) -> Floats | None:
    """Return vectors of the items' attributes, as the content model makes them; None without attributes."""
    if "attribute_ids" not in pl.read_parquet_schema(file):
        return None
    frame = pl.read_parquet(file)
    tags = dict(zip(frame["item_id"].to_list(), frame["attribute_ids"].to_list(), strict=True))
    texts = [ItemText(tags=tuple(str(tag) for tag in tags[one])) for one in ids.tolist()]
    return fit_content(texts, ContentConfig(dimensions=256)).item_vectors


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _weight(rows: Rows, model: SequentialModel, near: ItemItemModel) -> float:
    """Return the weight of the neighbours that finds the validation items of some users best."""
    users = np.sort(np.random.default_rng(1).permutation(rows.n_users)[:WEIGHED_USERS])
    asked = Answers.ask(rows, users, VALIDATION, model, near)
    reached = {w: float(asked.judge(rows, model.item_vectors, w)[f"ndcg@{K}"].mean()) for w in WEIGHTS}
    _say(f"validation ndcg@{K} by weight of the neighbours: {reached}")
    return max(reached, key=lambda weight: reached[weight])


SYSTEMS = {
    "tuned": "sequential",
    "plain": "SASRec with sampled softmax, run here",
    "seed-transformer": "preset seed-transformer",
}

READ = ", attributes of items read (the published models know ids alone)"
SHARED = "temperature and dropout on Beauty's validation items; "


def run(name: str, system: str, data: Path, state: Path | None) -> None:
    """Fit, judge, print and keep the rows of one system on one dataset."""
    task, rows = TASKS[name], load(data / name, TASKS[name].file)
    if system == "plain":
        rows = replace(rows, content=None)
    config = {"tuned": task.tuned, "plain": PLAIN, "seed-transformer": SEED}[system]
    model = fit_sequential(rows.fit_input(TEST, state), config)
    blank = Row(
        system=SYSTEMS[system],
        figures={},
        tuned=(SHARED if system == "tuned" else "") + "passes on its own validation items",
        command=f"python -m benchmarks.quality.sequences {name} --system {system} --data FOLDER",
        seconds=model.seconds,
        peak_mib=peak_mib(),
        published={f"recall@{K}": task.recall, f"ndcg@{K}": task.ndcg},
        citation=f"{task.best}: {STUDY}",
        note=f"{model.passes} passes{'' if rows.content is None else READ}, {model.device}",
    )
    near = fit_item_item(rows.fit_input(VALIDATION), NEIGHBOURS)
    asked = Answers.ask(rows, np.arange(rows.n_users), TEST, model, near)
    found = [msgspec.structs.replace(blank, figures=_figures(asked.judge(rows, model.item_vectors, 0.0)))]
    if system == "tuned":
        weight = _weight(rows, model, near)
        both = msgspec.structs.replace(
            blank,
            system="sequential + item-item",
            figures=_figures(asked.judge(rows, model.item_vectors, weight)),
            tuned=f"{SHARED}neighbours' weight and passes on its own validation items",
            note=f"{blank.note}, neighbours' weight {weight}",
        )
        found.append(both)
    for row in found:
        _say(f"{name}: {row.system}: {row.figures}, published {row.published}; {row.seconds:.0f} s")
    record(f"sequences-{name}", task.title, PROTOCOL, *found)


def _figures(per_user: dict[str, NDArray[np.float64]]) -> dict[str, float | tuple[float, float, float]]:
    """Return means with their intervals."""
    found = mean_intervals(np.stack(list(per_user.values()), axis=1))
    return dict(intervals(dict(zip(per_user, found, strict=True))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=TASKS)
    parser.add_argument("--system", choices=SYSTEMS, default="tuned")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    asked = parser.parse_args()
    run(asked.dataset, asked.system, asked.data, asked.state)

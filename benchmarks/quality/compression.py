"""Forms of neural models: size, latency and NDCG in float32, in 8-bit integers and of a student; which one is served.

`python -m benchmarks.quality.compression [--state FOLDER]`, on the packaged data. The sequential encoder: each user's
last item is to be found among all that they had not rated; a call is one history of 50 items. The ranker: made-up
requests, in which products of columns say what is wanted, since it is their cost that counts here; a call is 500
candidates of 70 columns. `--state` keeps checkpoints, from which an interrupted run goes on.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from kindred.core.candidates import Floats, Ordinals
from kindred.evaluation import metrics
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import rank_all
from kindred.models.forms import INT8, WHOLE, Form, fastest
from kindred.models.neural_ranker import NeuralRankerConfig
from kindred.models.onnx import open_graph
from kindred.models.preference import Interactions, preferences
from kindred.models.protocol import UserHistory
from kindred.models.sequential import SequentialConfig, SequentialModel
from kindred.sample import sample_folder
from kindred.training.fit.inputs import FitInput
from kindred.training.neural.lists import Lists
from kindred.training.neural.quantise import quantise_graph
from kindred.training.neural.ranker import fit_network
from kindred.training.neural.sequential import fit_sequential

CUTOFF = 10
LENGTH = 50
CALLS = 301
COLUMNS, REQUESTS, EACH = 70, 400, 100


def say(line: str) -> None:
    """Say how far it is, beside the table."""
    sys.stderr.write(line + "\n")


def watched() -> tuple[Ordinals, Ordinals, np.ndarray]:
    """Return users, items and times in ms (m,) of the packaged ratings, by user, oldest first."""
    frame = pl.read_parquet(sample_folder() / "ratings.parquet").sort("user_id", "timestamp", "item_id")
    users, items = (
        np.unique(frame[name].to_numpy(), return_inverse=True)[1].astype(np.int32) for name in ("user_id", "item_id")
    )
    return users, items, frame["timestamp"].to_numpy() * 1_000


def sequential_forms(state: Path | None) -> list[Form]:
    """Train the encoder once, and measure both of its forms as they are served."""
    users, items, times = watched()
    last = np.append(users[1:] != users[:-1], True)
    n = int((~last).sum())
    rows = Interactions(
        users[~last], items[~last], times[~last], np.zeros(n, np.int16), np.full(n, np.nan, np.float32), ("view",)
    )
    shape = (int(users.max()) + 1, int(items.max()) + 1)
    given = FitInput(preferences(rows, 0), rows, *shape, 0, threads=1, work=state, progress=say)
    whole = fit_sequential(given, SequentialConfig(quantised=False, epochs=40))
    with tempfile.TemporaryDirectory() as made:
        whole.encoder.save(Path(made), WHOLE)
        quantise_graph(Path(made), WHOLE, INT8)
        small = replace(whole, encoder=open_graph(Path(made), INT8))
    return [
        Form(name, len(model.encoder.data), *judged(model, rows, items[last], shape))
        for name, model in ((WHOLE, whole), (INT8, small))
    ]


def judged(model: SequentialModel, rows: Interactions, wanted: Ordinals, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the milliseconds of a call with a full history, and NDCG@10 over users."""
    starts = np.searchsorted(rows.users, np.arange(shape[0] + 1))

    def history(user: int) -> UserHistory:
        mine = slice(starts[user], starts[user + 1])
        size = starts[user + 1] - starts[user]
        ones = np.ones(size, np.float32)
        return UserHistory(rows.items[mine][::-1], ones, ones > 0, rows.timestamps[mine][::-1])

    vectors = np.stack([model.represent(history(user)) for user in range(shape[0])])
    ranked = rank_all(
        lambda start, stop: vectors[start:stop] @ model.item_vectors.T,
        from_pairs(rows.users, rows.items, shape[0]),
        shape[1],
        CUTOFF,
    )
    found = metrics.judge(ranked, from_pairs(np.arange(shape[0]), wanted, shape[0]))
    longest = history(int(np.argmax(np.diff(starts))))
    full = replace(
        longest,
        **{name: getattr(longest, name)[:LENGTH] for name in ("items", "confidence", "positive", "timestamps")},
    )
    return milliseconds(lambda: model.represent(full)), float(metrics.ndcg(found, CUTOFF).mean())


def milliseconds(call: Callable[[], object]) -> float:
    """Return the median time of a call."""
    spent = []
    for _ in range(CALLS):
        begun = perf_counter()
        call()
        spent.append(perf_counter() - begun)
    return 1_000 * float(np.median(spent))


def made_up() -> Lists:
    """Return requests whose outcome depends on many columns and on products of some."""
    dice = np.random.default_rng(5)
    n = REQUESTS * EACH
    columns: Floats = dice.normal(size=(n, COLUMNS)).astype(np.float32)
    drive = columns[:, :20] @ dice.normal(size=20) / 3 + columns[:, 0] * columns[:, 1] + columns[:, 2] * columns[:, 3]
    columns[dice.random(columns.shape) < 0.1] = np.nan
    labels = dice.random((n, 2)) < 1 / (1 + np.exp(3 - drive))[:, None]
    return Lists(columns, labels, labels[:, 1], np.repeat(np.arange(REQUESTS, dtype=np.int32), EACH))


def show(title: str, forms: list[Form]) -> None:
    """Print the forms, and which of them would be served."""
    chosen = fastest(forms)
    table = Table(title=title)
    for column in ("form", "bytes", "ms", "NDCG@10", "served"):
        table.add_column(column)
    for form in forms:
        mark = "yes" if form is chosen else ""
        table.add_row(form.name, f"{form.size:,}", f"{form.milliseconds:.3f}", f"{form.ndcg:.4f}", mark)
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path)
    asked = parser.parse_args()
    heads = fit_network(made_up(), ("click", "purchase"), NeuralRankerConfig(), threads=1, progress=say)
    show("ranker's network, 500 candidates", list(heads.forms))
    show("sequential encoder, one history of 50", sequential_forms(asked.state))

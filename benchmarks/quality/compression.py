"""Forms of neural models: size, latency and NDCG in float32, in 8-bit integers and of a student; which one is served.

`python -m benchmarks.quality.compression --data FOLDER [--state FOLDER] [--only ranker]`. The sequential encoder: those
of `benchmarks.quality.sequences` on Beauty, each user's validation item is to be found; a call is one history of 50.
The ranker: made-up requests, in which products of columns say what is wanted, since it is their cost that counts here;
a call is 500 candidates of 70 columns. `--state` keeps checkpoints, from which an interrupted run goes on; those of
`benchmarks.quality.sequences` serve too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality import sequences
from benchmarks.quality.record import Row, peak_mib, record
from kindred.core.candidates import Floats
from kindred.models.forms import Form, fastest
from kindred.models.neural_ranker import NeuralRankerConfig
from kindred.training.neural.lists import Lists
from kindred.training.neural.ranker import fit_network
from kindred.training.neural.sequential import fit_sequential

DATASET = "s3rec-beauty"
COLUMNS, REQUESTS, EACH = 70, 400, 100
TITLE = "Forms of neural models"
PROTOCOL = (
    "What a training measures before it chooses: served is the fastest form that loses at most 1 % of NDCG@10. "
    "Encoder: Beauty, users' validation items; a call is one history of 50. Ranker: made-up held-out requests; a call "
    "is 500 candidates of 70 columns. ms: median of calls on one thread of a shared core. s: of training; MiB: "
    "without it where it was taken up from a checkpoint."
)


def say(line: str) -> None:
    """Say how far it is, beside the table."""
    sys.stderr.write(line + "\n")


def encoder(system: str, data: Path, state: Path | None) -> None:
    """Train an encoder, or take a trained one up, and show and keep its forms."""
    task = sequences.TASKS[DATASET]
    rows = sequences.load(data / DATASET, task.file)
    config = task.tuned if system == "tuned" else sequences.SEED
    model = fit_sequential(rows.fit_input(sequences.TEST, state), config)
    show(f"encoder, {sequences.SYSTEMS[system]}", model.forms, model.seconds)


def ranker() -> None:
    """Train the ranker's network and its student, and show and keep the forms."""
    busy = process_time()
    heads = fit_network(made_up(), ("click", "purchase"), NeuralRankerConfig(), threads=1, progress=say)
    show("ranker", heads.forms, process_time() - busy)


def made_up() -> Lists:
    """Return requests whose outcome depends on many columns and on products of some."""
    dice = np.random.default_rng(5)
    n = REQUESTS * EACH
    columns: Floats = dice.normal(size=(n, COLUMNS)).astype(np.float32)
    drive = columns[:, :20] @ dice.normal(size=20) / 3 + columns[:, 0] * columns[:, 1] + columns[:, 2] * columns[:, 3]
    columns[dice.random(columns.shape) < 0.1] = np.nan
    labels = dice.random((n, 2)) < 1 / (1 + np.exp(3 - drive))[:, None]
    return Lists(columns, labels, labels[:, 1], np.repeat(np.arange(REQUESTS, dtype=np.int32), EACH))


def show(title: str, forms: Sequence[Form], seconds: float) -> None:
    """Print and keep the forms, and which of them is served."""
    chosen = fastest(forms)
    table = Table(title=title)
    for column in ("form", "KiB", "ms", "NDCG@10", "served"):
        table.add_column(column)
    rows = []
    for form in forms:
        mark = "served" if form is chosen else ""
        table.add_row(
            form.name, f"{form.size / 1024:,.0f}", f"{form.milliseconds:.3f}", f"{form.ndcg:.4f}", mark and "yes"
        )
        row = Row(
            system=f"{title}: {form.name}",
            figures={
                "KiB": round(form.size / 1024, 1),
                "ms": round(form.milliseconds, 3),
                "ndcg@10": round(form.ndcg, 4),
            },
            tuned="nothing here",
            command="python -m benchmarks.quality.compression --data FOLDER",
            seconds=seconds,
            peak_mib=peak_mib(),
            note=mark,
        )
        rows.append(row)
    Console().print(table)
    record("compression", TITLE, PROTOCOL, *rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--only", choices=("ranker", "tuned", "seed-transformer"))
    asked = parser.parse_args()
    for system in ("tuned", "seed-transformer"):
        if asked.only in (None, system):
            encoder(system, asked.data, asked.state)
    if asked.only in (None, "ranker"):
        ranker()

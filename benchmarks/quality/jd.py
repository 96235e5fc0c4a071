"""JD's events of several kinds: do weights of each kind find more of what is bought than one kind, or all alike?

python -m benchmarks.quality.jd --data FOLDER [--model graph] [--validation]

`--validation` judges on the purchases that weights were chosen on.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.quality.lists import PerUser, fit_input, judged, means, ranked, timeless
from benchmarks.quality.record import Row, intervals, peak_mib, record
from kindred.core.config import Config
from kindred.evaluation.intervals import Interval, paired_difference
from kindred.evaluation.item_sets import ItemSets, from_pairs
from kindred.models.graph import GraphConfig
from kindred.models.preference import Interactions, PreferenceConfig
from kindred.training.fit.registry import FITTINGS, fit_retriever

NAME, TITLE, FOLDER = "jd", "JD, events of several kinds", "jd-multibehavior"
PROTOCOL = (
    "Views, favourites and purchases are learned from; held-back purchases are looked for among all items, earlier "
    "purchases left out. `new`: pairs that are a view or favourite in the training part are neither ranked nor looked "
    "for. Intervals: bootstrap over users; differences are paired, 2,000 resamples."
)
KINDS = ("view", "favourite", "purchase")
WEIGHTED = "weights by kind"
SYSTEMS = {
    **{f"{kind} alone": dict.fromkeys(KINDS, 0.0) | {kind: 1.0} for kind in KINDS},
    "all kinds alike": dict.fromkeys(KINDS, 1.0),
    WEIGHTED: {"view": 0.5, "favourite": 10.0, "purchase": 10.0},
}
MODELS: dict[str, Config] = {"graph": GraphConfig(own_items=True)}
TUNED = "weights of kinds and own_items on the validation purchases"
UNTUNED = "own_items on the validation purchases; pairs count 1"


class Wanted(NamedTuple):
    """Who is asked, what is left out and what is looked for, of the same users in the same order."""

    users: NDArray[np.int64]
    seen: ItemSets
    relevant: ItemSets


class Data(NamedTuple):
    """Events to learn from, and both questions: all purchases, and those that are new in every way."""

    rows: Interactions
    n_users: int
    n_items: int
    questions: dict[str, Wanted]


def read(folder: Path, validation: bool) -> Data:
    """Read the split; the test leaves out what was bought in the validation part too."""
    parts = {part: pl.read_parquet(folder / FOLDER / f"{part}.parquet") for part in ("train", "validation", "test")}
    n_users, n_items = (int(max(part[name].max() for part in parts.values())) + 1 for name in ("user_id", "item_id"))
    train = parts["train"].unique().sort("user_id", "item_id", "event_type")
    bought = train.filter(pl.col("event_type") == "purchase")
    if not validation:
        bought = pl.concat([bought, parts["validation"].select(bought.columns)])
    looked_for, every, before = (
        from_pairs(part["user_id"], part["item_id"], n_users)
        for part in (parts["validation" if validation else "test"], pl.concat([train, bought]), bought)
    )
    users = np.flatnonzero(looked_for.sizes)
    codes = np.array([KINDS.index(kind) for kind in train["event_type"]], np.int16)
    questions = {
        "": Wanted(users, before.take(users), looked_for.take(users)),
        ", new": Wanted(users, every.take(users), looked_for.minus(every).take(users)),
    }
    rows = timeless(train["user_id"].to_numpy(), train["item_id"].to_numpy(), codes, KINDS)
    return Data(rows, n_users, n_items, questions)


def run(name: str, model: str, data: Data) -> tuple[PerUser, float]:
    """Fit a model on what each kind of event counts in a system; return its metrics by user, and seconds."""
    started = perf_counter()
    alike = name != WEIGHTED
    weights = PreferenceConfig(event_weights=SYSTEMS[name], **({"alpha": 0.0} if alike else {}))
    given = fit_input(data.rows, data.n_users, data.n_items, weights)
    fitted = fit_retriever(model, given, MODELS.get(model, FITTINGS[model].config()))
    found: PerUser = {}
    for which, asked in data.questions.items():
        lists = ranked(fitted, given, asked.users, asked.seen)
        found |= {metric + which: values for metric, values in judged(lists, asked.relevant).items()}
    return found, perf_counter() - started


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the datasets")
    parser.add_argument("--model", choices=tuple(FITTINGS), default="graph")
    parser.add_argument("--validation", action="store_true", help="judge on the purchases that weights were chosen on")
    given = parser.parse_args(arguments or [])
    data = read(given.data, given.validation)
    best, seconds = run(WEIGHTED, given.model, data)
    rows = [_row(WEIGHTED, given.model, means(best), seconds)]
    for name in SYSTEMS:
        if name != WEIGHTED:
            found, seconds = run(name, given.model, data)
            ahead = {
                f"weights ahead, {one}": paired_difference(best[one], found[one]) for one in best if "recall" in one
            }
            rows.append(_row(name, given.model, means(found) | ahead, seconds))
    for row in rows:
        sys.stdout.write(f"{row.system}: {row.figures}; {row.seconds:.0f} s, {row.peak_mib:.0f} MiB\n")
    if not given.validation:
        record(NAME, TITLE, PROTOCOL, *rows)


def _row(name: str, model: str, found: dict[str, Interval], seconds: float) -> Row:
    return Row(
        system=f"{model}: {name}",
        figures=intervals(found),
        tuned=TUNED if name == WEIGHTED else UNTUNED,
        command=f"python -m benchmarks.quality.{NAME} --data DATA --model {model}",
        seconds=seconds,
        peak_mib=peak_mib(),
        note="seconds by the clock, with ranking, on one shared core",
    )


if __name__ == "__main__":
    main(sys.argv[1:])

"""Scoring 500 candidates with the ranker, features given as columns, against the limit of one millisecond.

Trees are grown on made-up requests with as many columns as a real ranker has, so that branches are as deep.

python -m benchmarks.ranker_speed [--rounds N]
"""

import argparse
import gc
import time
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.servers import machine
from kindred.models.ranker import RankerConfig, RankerModel, RankerSchema
from kindred.recommend.scorers.ranker import reordered
from kindred.training.ranking.examples import RankingExamples
from kindred.training.ranking.learn import MIXES, learn_ranker

CANDIDATES, COLUMNS, REQUESTS, EACH = 500, 70, 300, 100
LIMIT = 1.0


def made_up() -> RankingExamples:
    """Return requests whose outcomes depend on many columns, two event types of them."""
    dice = np.random.default_rng(5)
    n = REQUESTS * EACH
    columns = dice.normal(size=(n, COLUMNS)).astype(np.float32)
    columns[dice.random(columns.shape) < 0.1] = np.nan
    drive = np.nan_to_num(columns[:, :40]) @ dice.normal(size=(40, 2)) / 4
    labels = dice.random((n, 2)) < 1 / (1 + np.exp(3 - drive))
    requests = np.repeat(np.arange(REQUESTS, dtype=np.int32), EACH)
    return RankingExamples(
        schema=RankerSchema(("blend", *(f"c{number:02d}" for number in range(1, COLUMNS)))),
        events=("click", "purchase"),
        columns=columns,
        requests=requests,
        items=np.tile(np.arange(EACH, dtype=np.int32), REQUESTS),
        blend=np.nan_to_num(columns[:, 0]),
        labels=labels,
        weights=np.ones(n, np.float32),
        relevant=labels[:, 1],
        users=np.arange(REQUESTS, dtype=np.int64),
        moments=np.zeros(REQUESTS, np.int64),
        wanted=np.bincount(requests, labels[:, 1], REQUESTS).astype(np.int64),
    )


def measure(model: RankerModel, rounds: int) -> np.ndarray:
    """Return the milliseconds (rounds,) from columns to the candidates' new scores."""
    dice = np.random.default_rng(9)
    blended = dice.random(CANDIDATES).astype(np.float32)
    spent = []
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        given = [dice.normal(size=CANDIDATES).astype(np.float32) for _ in range(COLUMNS)]
        begun = time.perf_counter()
        reordered(blended, model.score(np.stack(given, axis=1)).value)
        spent.append((time.perf_counter() - begun) * 1_000)
    return np.array(spent[rounds // 10 :])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1_000)
    options, _ = parser.parse_known_args()
    config = RankerConfig()
    model = learn_ranker(made_up(), config, seed=1, threads=1)
    title = f"{CANDIDATES} candidates, {COLUMNS} columns, {config.trees} trees of depth {config.depth}; {machine()}"
    table = Table("what orders", "heads", "p50 ms", "p99 ms", f"p50 / {LIMIT:g} ms", title=title)
    for name, mix in MIXES.items():
        heads = ("order" in mix) + len(model.events) * ("value" in mix)
        spent = measure(replace(model, mix=mix), options.rounds)
        middle, high = np.percentile(spent, [50, 99])
        table.add_row(name, str(heads), f"{middle:.3f}", f"{high:.3f}", f"{middle / LIMIT:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()

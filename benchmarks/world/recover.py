"""What the product learns from the simulated shop's log, beside what was planted.

python -m benchmarks.world.recover [--users 3000] [--requests 25] [--draws 8] [--seed 42]

Half of the users teach, the others are asked. A planted effect counts as recovered where it lies in the 95 % interval
of the ranker's own; boosted trees shrink what they learn, which the slope (1 = planted) shows. The columns are the
shop's: a stand-in for the funnel's, which knows neither an item's category nor the month by themselves.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.world.logs import Logs, described, events, simulate
from benchmarks.world.shop import COLUMNS, as_examples, as_fit_input, columns_of
from benchmarks.world.truth import EVENTS, Truth, WorldConfig, chance
from kindred.core.candidates import Floats
from kindred.core.event import encode_event
from kindred.core.position import Position
from kindred.evaluation.intervals import paired_difference
from kindred.models.als import AlsConfig
from kindred.models.preference import PreferenceConfig
from kindred.models.ranker import ORDER, RankerConfig, RankerModel
from kindred.ports.log import LogRecord
from kindred.training.exposures import Exposures
from kindred.training.fit.als import fit_als
from kindred.training.log_rows import event_columns
from kindred.training.ranking.learn import learn_ranker

WIDE = 1.96
TREES = RankerConfig(trees=400, depth=8, learning_rate=0.12, min_weight=5.0, penalty=1.0, columns=1.0, folds=2)
BATCH = 20_000
ASKED = 8_000


class Effect(NamedTuple):
    """A planted effect `(categories, levels)` and the ranker's column that carries it."""

    name: str
    column: str
    planted: Floats


class Recovered(NamedTuple):
    """How well an effect came back: share of cells whose interval holds the planted value, correlation, slope, and the
    median half-width of the intervals.
    """

    covered: float
    correlation: float
    slope: float
    width: float
    cells: int


def examination(logs: Logs, truth: Truth) -> tuple[Floats, Floats]:
    """Return what the log's draws say of each slot's examination, and the half-width of its interval, both (slots,)."""
    frames = []
    records: list[LogRecord] = []
    for number, event in enumerate(events(logs, truth)):
        records.append(LogRecord(Position(0, 0, number), encode_event(event)))
        if len(records) == BATCH:
            frames.append(event_columns(records).drop("raw"))
            records = []
    frames.append(event_columns(records).drop("raw"))
    found = Exposures.of(frames)
    shares = found.examination()
    if shares is None:
        raise SystemExit("the log holds too few draws")
    return shares, (WIDE * shares * np.sqrt(1 / found.followed + 1 / found.followed[0])).astype(np.float32)


def recover(models: Sequence[RankerModel], asked: Logs, truth: Truth, effect: Effect) -> Recovered:
    """Compare a planted effect with that of the rankers' chance of a click, were each item on the first slot.

    The first slot is always looked at, so the odds of a click there are those of the truth. The effect is the partial
    dependence (Friedman 2001) of the first ranker's log-odds; the others, each taught by people drawn with replacement,
    say how far it may be off.
    """
    table = columns_of(asked, truth)
    table[:, COLUMNS.index("shown.slot")] = 0
    categories = truth.category[asked.items]
    found = np.stack([_dependence(model, table, categories, effect) for model in models])
    error = WIDE * found[1:].std(axis=0, ddof=1)
    inside = np.abs(found[0] - effect.planted) <= error
    planted, learnt = effect.planted.ravel(), found[0].ravel()
    slope = float((learnt * planted).sum() / (planted**2).sum())
    correlation = float(np.corrcoef(learnt, planted)[0, 1]) if learnt.std() > 0 else 0.0
    return Recovered(float(inside.mean()), correlation, slope, float(np.median(error)), inside.size)


def _dependence(model: RankerModel, table: Floats, categories: NDArray[np.int32], effect: Effect) -> Floats:
    """Return the mean log-odds of a click in each category at each level, less their mean, (categories, levels)."""
    place, (size, levels) = COLUMNS.index(effect.column), effect.planted.shape
    rows = np.maximum(np.bincount(categories, minlength=size), 1)
    found = np.empty((size, levels), np.float32)
    for level in range(levels):
        changed = table.copy()
        changed[:, place] = level
        found[:, level] = np.bincount(categories, model.heads["click"].margins(changed), size) / rows
    return found - found.mean(axis=1, keepdims=True)


def taught(people: Logs, truth: Truth, seed: int, hidden: str = "", drawn: bool = False) -> RankerModel:
    """Learn a ranker from logs; `hidden`: a column it does not get. `drawn`: from people drawn with replacement."""
    if drawn:
        rng = np.random.default_rng(seed)
        names = np.unique(people.users)
        order = np.argsort(people.users, kind="stable")
        first, last = np.searchsorted(people.users[order], [names, names + 1])
        rows = [order[first[one] : last[one]] for one in rng.integers(len(names), size=len(names)).tolist()]
        # Who is drawn twice is two people, with slates of their own.
        copies = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
        again = people.take(np.concatenate(rows))
        people = replace(again, requests=again.requests + copies * (int(people.requests.max()) + 1))
    examples = as_examples(people, truth)
    if hidden:
        examples.columns[:, COLUMNS.index(hidden)] = 0
    # Event types share the trees: of clicks alone all of them tell.
    clicks = replace(examples, events=EVENTS[:1], labels=examples.labels[:, :1])
    return learn_ranker(clicks, TREES, seed, 0)


def planted_effects(truth: Truth) -> list[Effect]:
    """Return what was planted."""
    page = np.repeat(truth.page[None], truth.config.categories, axis=0)
    return [
        Effect("hour × category", "context.hour", truth.hour),
        Effect("device × category", "context.device", truth.device),
        Effect("page", "context.page", page),
        Effect("season × category", "context.month", truth.season),
        Effect("age × category", "user.age_bucket", truth.age),
    ]


def tastes(logs: Logs, truth: Truth, heavy: bool) -> NDArray[np.float64]:
    """Return each person's NDCG@10 (people,) of ALS on clicks, graded by the true chance; `heavy`: bots teach too."""
    people = np.flatnonzero(~truth.bot)
    rows = logs if heavy else logs.take(~truth.bot[logs.users])
    data = as_fit_input(rows.take(rows.click), truth, PreferenceConfig())
    model = fit_als(data, AlsConfig(factors=16))
    worth = chance(truth.config.base + truth.users[people] @ truth.items.T + truth.quality)
    scores = np.zeros_like(worth)
    liked = data.preferences
    for row, user in enumerate(people.tolist()):
        low, high = np.searchsorted(liked.users, [user, user + 1])
        solve = model.fold_in(liked.items[low:high], liked.confidence[low:high], liked.positive[low:high])
        scores[row] = model.item_factors @ solve.vector
    return ndcg(scores, worth)


def ndcg(scores: Floats, worth: Floats) -> NDArray[np.float64]:
    """Return NDCG@10 (q,) of rows ordered by `scores (q, n)`, graded by `worth (q, n)`."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    discounts = 1 / np.log2(np.arange(2, order.shape[1] + 2))
    best = -np.sort(-worth, axis=1)[:, :10] @ discounts
    return np.asarray(np.take_along_axis(worth, order, 1) @ discounts / best, np.float64)


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--requests", type=int, default=25)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args(arguments or [])
    started, console = perf_counter(), Console(width=130)
    truth = Truth.plant(WorldConfig(users=given.users, requests=given.requests, seed=given.seed))
    logs = simulate(truth)
    console.print(f"{described(truth)}: {len(logs):,} items shown")
    _show_examination(console, logs, truth)
    people = logs.take(~truth.bot[logs.users])
    teach = people.users % 2 == 0
    judges = people.take(~teach)
    _show_effects(console, people.take(teach), judges, truth, given.draws)
    _show_chances(console, people.take(teach), judges, truth, given.seed)
    _show_slots(console, people.take(teach & ~people.random), judges, truth, given.seed)
    _show_bots(console, logs, truth)
    console.print(f"{perf_counter() - started:.0f} s")


def _show_examination(console: Console, logs: Logs, truth: Truth) -> None:
    shares, wide = examination(logs, truth)
    table = Table(title="Position bias: how likely a slot is looked at, learnt from drawn slots")
    for head in ("slot", "planted", "learnt", "interval", "inside"):
        table.add_column(head, justify="right")
    for slot, (planted, share, half) in enumerate(zip(truth.examined, shares, wide, strict=True)):
        inside = "yes" if slot == 0 or abs(share - planted) <= half else "no"
        table.add_row(str(slot + 1), f"{planted:.3f}", f"{share:.3f}", f"± {half if slot else 0:.3f}", inside)
    console.print(table)


def _show_effects(console: Console, teach: Logs, judges: Logs, truth: Truth, draws: int) -> None:
    """Print each effect, and as a control the hour's where rankers do not get the hour: nothing may come back."""
    asked = judges.take(np.random.default_rng(1).choice(len(judges), ASKED))
    models = [taught(teach, truth, seed, drawn=seed > 0) for seed in range(draws + 1)]
    table = Table(
        title=f"Effects on the log-odds of a click, learnt by the ranker; intervals by {draws} draws of people"
    )
    for head in ("effect", "cells", "inside their interval", "correlation", "slope", "± (median)"):
        table.add_column(head, justify="left" if head == "effect" else "right")
    effects = planted_effects(truth)
    shown = [(effect.name, recover(models, asked, truth, effect)) for effect in effects]
    blind = [taught(teach, truth, seed, hidden="context.hour", drawn=seed > 0) for seed in (0, 1, 2)]
    shown.append(("control: the hour is hidden", recover(blind, asked, truth, effects[0])))
    for name, found in shown:
        figures = f"{found.covered:.0%}", f"{found.correlation:.3f}", f"{found.slope:.2f}", f"{found.width:.2f}"
        table.add_row(name, str(found.cells), *figures)
    console.print(table)


def _show_chances(console: Console, teach: Logs, rows: Logs, truth: Truth, seed: int) -> None:
    """Print chances of each step of the funnel beside the true ones, on people who did not teach."""
    chances = (
        learn_ranker(as_examples(teach, truth), RankerConfig(trees=150), seed, 0)
        .score(columns_of(rows, truth), every=True)
        .chances
    )
    click = chance(rows.odds) * truth.examined[rows.slots]
    cart = click * chance(truth.cart[rows.items])
    true = dict(zip(EVENTS, (click, cart, cart * chance(truth.purchase[rows.items])), strict=True))
    table = Table(title="The event funnel: chances learnt beside the true ones")
    for head in ("event", "true mean", "learnt mean", "mean gap in tenths", "correlation"):
        table.add_column(head, justify="left" if head == "event" else "right")
    for name, said in chances.items():
        tenths = np.array_split(np.argsort(said, kind="stable"), 10)
        gap = float(np.mean([abs(said[one].mean() - true[name][one].mean()) for one in tenths]))
        correlation = float(np.corrcoef(said, true[name])[0, 1])
        table.add_row(name, f"{true[name].mean():.4f}", f"{said.mean():.4f}", f"{gap:.4f}", f"{correlation:.3f}")
    console.print(table)


def _show_slots(console: Console, teach: Logs, judges: Logs, truth: Truth, seed: int) -> None:
    """Print how much better a ranker is that counts clicks by the inverse of examination; neither sees the slot."""
    lists, found = judges.take(judges.random), {}
    unseen = np.where(teach.click, 1 / truth.examined[teach.slots], 1).astype(np.float32)
    for name, weights in (("alike", np.ones(len(teach), np.float32)), ("by slot", unseen)):
        examples = replace(as_examples(teach, truth), weights=weights)
        # Without the column of the slot: what stands high would explain itself.
        examples.columns[:, COLUMNS.index("shown.slot")] = 0
        table = columns_of(lists, truth)
        table[:, COLUMNS.index("shown.slot")] = 0
        order = learn_ranker(examples, TREES, seed, 0).heads[ORDER].margins(table)
        found[name] = ndcg(order.reshape(-1, truth.config.slots), chance(lists.odds).reshape(-1, truth.config.slots))
    gain = paired_difference(found["by slot"], found["alike"])
    console.print(
        f"Ordered slates alone teach: NDCG@10 of true chances {found['alike'].mean():.4f} with all clicks alike; "
        f"counted by slot {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    )


def _show_bots(console: Console, logs: Logs, truth: Truth) -> None:
    """Print what bots do to what people are recommended."""
    without, with_bots = tastes(logs, truth, heavy=False), tastes(logs, truth, heavy=True)
    lost = paired_difference(with_bots, without)
    rows = logs.users[logs.click]
    share = float(truth.bot[rows].mean())
    console.print(
        f"Bots: {share:.0%} of all clicks; NDCG@10 of true chances {without.mean():.4f} without them, with them "
        f"{lost.mean:+.4f} [{lost.low:+.4f}, {lost.high:+.4f}]"
    )


if __name__ == "__main__":
    main(sys.argv[1:])

"""What each part of live learning buys: a replay in time order, a slate before each invoice or session.

python -m benchmarks.quality.live --mapping docs/guide/mappings/online-retail.toml --data FOLDER --state FOLDER
python -m benchmarks.quality.live --by session --state FOLDER            the packaged data

Models are fitted on what lies before the warm-up's end; then time goes on. Settings are chosen on the first stretches
and judged on the others. A run that was stopped goes on behind the last finished stretch in its state folder.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from kindred.adapters.local.leases import open_leases
from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.adapters.sqlite.interactions import open_interactions
from kindred.adapters.sqlite.profiles import open_profiles
from kindred.core.bundle import Manifest
from kindred.core.candidates import Ordinals
from kindred.core.clock import DAY, HOUR, format_time
from kindred.evaluation.intervals import Bootstrap, Interval, mean_interval, paired_difference
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.metrics import judge, ndcg
from kindred.ingest.importing import ImportStores, load_mapping, run_import
from kindred.models.preference import Interactions
from kindred.recommend.config import RecommendConfig
from kindred.recommend.item_table import ItemTable
from kindred.recommend.model_set import ModelSet, layers_of, open_models
from kindred.recommend.side import ContentSide
from kindred.recommend.world import TrendBoard, World
from kindred.sample import sample_folder
from kindred.training.bundle import write_models
from kindred.training.collect import collect
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.models import fit_models
from kindred.training.holdout import hold_out
from kindred.training.increment.gate import IncrementRefused
from kindred.training.increment.run import learn
from kindred.training.relevance import relevant_rows
from kindred.training.replay import Replay, ReplayPorts, fold_rows, padded
from kindred.training.replay_state import ReplayState
from kindred.training.trend_clock import TrendClock

DEPTH = 10
GAP = 30 * 60_000
FROZEN, FOLDED, LEARNING = "frozen models", "+ fold-in", "+ increments"
RECENCY: dict[str, dict[str, Any]] = {
    "half-life 180 d": {"fold_half_life": 180 * 86_400.0},
    "half-life 45 d": {"fold_half_life": 45 * 86_400.0},
    "half-life 14 d": {"fold_half_life": 14 * 86_400.0},
}
SESSION: dict[str, dict[str, Any]] = {
    "open, 0.1": {"session_weight": 0.1},
    "open, 0.3": {"session_weight": 0.3},
    "open, 0.1, boost 2": {"session_weight": 0.1, "session_boost": 2.0},
    "week, 0.1": {"session_weight": 0.1, "session_memory": 7 * 86_400.0},
    "week, 0.3": {"session_weight": 0.3, "session_memory": 7 * 86_400.0},
    "quarter, 0.2": {"session_weight": 0.2, "session_memory": 90 * 86_400.0},
}
FAMILIES = {"+ recency": RECENCY, "+ session": SESSION}


@dataclass(frozen=True, slots=True)
class Options:
    """`sample`: users that are asked for, 0 = all; `warm`: share of the time that models are first fitted on; `every`:
    hours between increments; `stretches` of the rest, settings are chosen on the first `chosen_on`; `by` what is one
    visit, `ask` whether before it or in its middle.
    """

    state: Path
    sample: int
    warm: float
    every: float
    stretches: int
    chosen_on: int
    by: str
    ask: str
    resamples: int


class Ask(NamedTuple):
    """A slate: for whom, as of which ms, which of the user's rows are known, and what is to be found."""

    user: int
    now: int
    known: NDArray[np.intp]
    wanted: Ordinals
    stretch: int


class Before(TrendClock):
    """Trend lists from what lies before a moment; rows of the very moment may be those that are looked for."""

    def at(self, now: int) -> dict[str, Any]:
        """Return the lists as of one ms earlier."""
        return super().at(now - 1)


@dataclass(slots=True)
class Run:
    """A replay under way: base and deltas on disk, what serves at the moment in memory."""

    options: Options
    configs: TrainConfigs
    dataset: Dataset
    ports: ReplayPorts
    tell: Callable[[str], None]
    cut: int = 0
    end: int = 0
    base: Manifest = field(default_factory=lambda: Manifest(version="base", created=0))
    deltas: list[Manifest] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    table: ItemTable = field(default_factory=ItemTable)
    live: ReplayState = field(default_factory=ReplayState)
    still: ReplayState = field(default_factory=ReplayState)
    first: ModelSet | None = None
    latest: ModelSet | None = None

    @property
    def folders(self) -> list[Path]:
        """Return where base and deltas lie."""
        return [self.options.state / "base", *(self.options.state / one.version for one in self.deltas)]

    async def prepare(self) -> None:
        """Fit the base on what lies before the cut, unless an earlier run did, and open what there is."""
        rows = self.dataset.interactions
        times = rows.timestamps[rows.timestamps >= 0]
        self.cut = int(times.min() + self.options.warm * (times.max() - times.min()))
        self.end = int(times.max()) + 1
        self.table.apply(self.dataset.changes())
        kept = self.options.state / "base.json"
        if not kept.exists():
            self.tell(f"base: everything before {format_time(self.cut)}")
            train = self.before(self.cut)
            fitted = fit_models(train, self.configs, self.cut)
            held = await hold_out(train, self.configs, self.ports, self.cut, fitted.content, self.tell)
            write_models(fitted, held.blend, self.options.state / "base", self.ports.indexes)
            made = Manifest(version="base", created=self.cut, n_items=train.n_items, window=train.window())
            kept.write_bytes(msgspec.json.encode(made))
        self.base = msgspec.json.decode(kept.read_bytes(), type=Manifest)
        self.first = self.latest = open_models(self.base, self.options.state / "base", self.ports.indexes)

    def before(self, moment: int) -> Dataset:
        """Return the dataset as it stood at a moment."""
        return self.dataset.with_rows(self.dataset.interactions.timestamps < moment)

    def increment(self, moment: int) -> None:
        """Learn what came since the last increment, as the job does; a refused one changes nothing."""
        if self.latest is None:
            return
        started = perf_counter()
        folder = self.options.state / f"d{len(self.deltas):04d}"
        known = self.before(moment)
        try:
            layers = layers_of(self.folders)
            made = learn(self.latest, layers, self.base, known, self.configs, moment, folder, self.ports.indexes)
        except IncrementRefused as error:
            self.refused.append(error.detail)
            return
        if made is not None:
            self.deltas.append(msgspec.structs.replace(made, version=folder.name))
            self.reopen()
            self.seconds.append(perf_counter() - started)

    def reopen(self) -> None:
        """Open base and deltas as a server does."""
        newest = self.deltas[-1] if self.deltas else self.base
        self.latest = open_models(newest, layers_of(self.folders), self.ports.indexes)

    def system(self, models: ModelSet, state: ReplayState, trends: TrendClock, config: RecommendConfig) -> Replay:
        """Put the funnel over models and a state."""
        world = World(
            models=models,
            table=self.table,
            side=ContentSide(models.content.dimensions),
            trends=TrendBoard(),
            state=state,
            catalog=self.ports.catalog,
            config=config,
            preference=self.configs.preference,
        )
        return Replay(world, self.dataset, trends)

    def systems(self, trends: TrendClock, settings: dict[str, dict[str, Any]]) -> dict[str, Replay]:
        """Return what is compared: frozen, folded in, learning, and learning with other settings."""
        if self.first is None or self.latest is None:
            return {}
        plain = self.configs.recommend
        found = {
            FROZEN: self.system(self.first, self.still, trends, plain),
            FOLDED: self.system(self.first, self.live, trends, plain),
            LEARNING: self.system(self.latest, self.live, trends, plain),
        }
        for name, changes in settings.items():
            config = msgspec.structs.replace(plain, **changes)
            found[name] = self.system(self.latest, self.live, trends, config)
        return found


def visits(dataset: Dataset, options: Options, cut: int, end: int, configs: TrainConfigs) -> list[Ask]:
    """Return every slate of the sampled users behind the cut, in time order."""
    rows = dataset.interactions
    timed = np.flatnonzero((rows.timestamps >= 0) & (rows.items >= 0))
    order = timed[np.lexsort((timed, rows.timestamps[timed], rows.users[timed]))]
    relevant = relevant_rows(rows, configs.relevance)
    active = np.unique(rows.users[order[rows.timestamps[order] >= cut]])
    if options.sample and len(active) > options.sample:
        active = np.sort(np.random.default_rng(42).choice(active, options.sample, replace=False))
    found = []
    for user in active.tolist():
        mine = order[slice(*np.searchsorted(rows.users[order], [user, user + 1]))]
        apart = np.diff(rows.timestamps[mine]) > (0 if options.by == "invoice" else GAP)
        for start, stop in _runs(apart, len(mine)):
            if rows.timestamps[mine[start]] < cut:
                continue
            split = start if options.ask == "before" else start + (stop - start) // 2
            if options.ask == "middle" and split == start:
                continue
            wanted = mine[split:stop][relevant[mine[split:stop]]]
            missing = np.setdiff1d(rows.items[wanted], rows.items[mine[:split]])
            if len(missing):
                now = int(rows.timestamps[mine[split]]) - (options.ask == "before")
                stretch = min(int((now - cut) * options.stretches / (end - cut)), options.stretches - 1)
                found.append(Ask(user, now, mine[:split], missing.astype(np.int32), max(stretch, 0)))
    return sorted(found, key=lambda ask: (ask.now, ask.user))


def _runs(apart: NDArray[np.bool_], count: int) -> Iterator[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), count]
    yield from pairwise(edges)


async def replay(run: Run, asks: Sequence[Ask], chosen: dict[str, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Go through time; return by stretch the users and each system's NDCG@10 of every slate."""
    results: dict[int, dict[str, Any]] = {}
    trends = Before(run.dataset.interactions, run.dataset.n_items, run.configs.trending)
    await _fill_still(run, asks)
    every = int(run.options.every * HOUR)
    moment = run.cut
    for stretch in range(run.options.stretches):
        if (done := _load(run, stretch)) is not None:
            results[stretch], moment = done, _resume(run, stretch)
            if stretch == run.options.chosen_on - 1:
                chosen.update(choose(results, run.options.chosen_on))
            continue
        settings = {f"{family}: {name}": one for family, all_ in FAMILIES.items() for name, one in all_.items()}
        settings = settings if stretch < run.options.chosen_on else dict(chosen)
        mine = [ask for ask in asks if ask.stretch == stretch]
        run.tell(f"stretch {stretch + 1} of {run.options.stretches}: {len(mine)} slates, {len(run.deltas)} increments")
        systems = run.systems(trends, settings)
        lists: dict[str, list[Ordinals]] = {name: [] for name in systems}
        for ask in mine:
            if ask.now >= moment + every:
                moment += (ask.now - moment) // every * every
                run.increment(moment)
                systems = run.systems(trends, settings)
            await _asked(run, ask, systems, lists)
        results[stretch] = _judged(mine, lists)
        _save(run, stretch, results[stretch], moment)
        if stretch == run.options.chosen_on - 1:
            chosen.update(choose(results, run.options.chosen_on))
    return results


async def _fill_still(run: Run, asks: Sequence[Ask]) -> None:
    """Keep everybody's record as it stood at the cut."""
    users = np.unique(np.array([ask.user for ask in asks], np.int64))
    rows = run.dataset.interactions
    kept = np.isin(rows.users, users) & (rows.timestamps < run.cut) & (rows.items >= 0)
    there = np.unique(rows.users[kept])
    await fold_rows(run.still, run.dataset, there, rows.take(kept), run.configs.fold)


async def _asked(run: Run, ask: Ask, systems: dict[str, Replay], lists: dict[str, list[Ordinals]]) -> None:
    """Fold what the user did until now, and ask every system."""
    known: Interactions = run.dataset.interactions.take(ask.known)
    if len(ask.known):
        await fold_rows(run.live, run.dataset, np.array([ask.user]), known, run.configs.fold)
    later = tuple(np.unique(known.items[known.timestamps >= run.cut]).tolist())
    for name, system in systems.items():
        # What is seen is hidden everywhere, also where nothing else of it is known.
        excluded = later if name == FROZEN else ()
        lists[name].append(await system.slate(ask.user, ask.now, DEPTH, excluded=excluded))


def _judged(asks: Sequence[Ask], lists: dict[str, list[Ordinals]]) -> dict[str, Any]:
    rows = np.repeat(np.arange(len(asks)), [len(ask.wanted) for ask in asks])
    items = np.concatenate([np.empty(0, np.int32), *(ask.wanted for ask in asks)])
    wanted = from_pairs(rows, items.astype(np.int64), len(asks))
    scores = {name: ndcg(judge(padded(found, DEPTH), wanted), DEPTH).tolist() for name, found in lists.items()}
    return {"users": [ask.user for ask in asks], "scores": scores if asks else {}}


def choose(results: dict[int, dict[str, Any]], chosen_on: int) -> dict[str, dict[str, Any]]:
    """Return of each family the settings with the highest mean NDCG@10 on the stretches that are chosen on."""
    found = {}
    for family, variants in FAMILIES.items():
        means = {name: float(_column(results, range(chosen_on), f"{family}: {name}").mean()) for name in variants}
        found[f"{family}: {max(means, key=lambda name: means[name])}"] = variants[max(means, key=lambda n: means[n])]
    return found


def _column(results: dict[int, dict[str, Any]], stretches: Sequence[int], name: str) -> NDArray[np.float64]:
    """Return one system's NDCG@10 of all slates of some stretches."""
    return np.concatenate([np.array(results[one]["scores"].get(name, []), np.float64) for one in stretches])


def _save(run: Run, stretch: int, result: dict[str, Any], moment: int) -> None:
    done = {"result": result, "moment": moment, "refused": run.refused, "seconds": run.seconds}
    manifests = msgspec.to_builtins(run.deltas)
    (run.options.state / f"stretch-{stretch}.json").write_text(json.dumps({**done, "deltas": manifests}), "utf-8")


def _load(run: Run, stretch: int) -> dict[str, Any] | None:
    path = run.options.state / f"stretch-{stretch}.json"
    found: dict[str, Any] | None = json.loads(path.read_text("utf-8"))["result"] if path.exists() else None
    return found


def _resume(run: Run, stretch: int) -> int:
    """Take over where a finished stretch ended; return the moment of its last increment."""
    done = json.loads((run.options.state / f"stretch-{stretch}.json").read_text("utf-8"))
    run.deltas = msgspec.convert(done["deltas"], list[Manifest])
    run.refused, run.seconds = done["refused"], done["seconds"]
    run.reopen()
    return int(done["moment"])


def show(run: Run, results: dict[int, dict[str, Any]], chosen: dict[str, dict[str, Any]], title: str) -> None:
    """Print what was chosen on, then a row per stretch and one for all that were judged."""
    options, console = run.options, Console(width=180)
    first, rest = range(options.chosen_on), range(options.chosen_on, options.stretches)
    table = Table(title=f"{title}: chosen on the first {options.chosen_on} stretches, NDCG@10 minus `{LEARNING}`")
    for column in ("settings", "NDCG@10", "minus"):
        table.add_column(column, justify="left" if column == "settings" else "right")
    for name in results[0]["scores"]:
        gap = _gap(results, first, name, LEARNING, options.resamples)
        table.add_row(name, f"{_column(results, first, name).mean():.4f}", _said(gap))
    console.print(table)
    ladder = [FROZEN, FOLDED, LEARNING, *chosen]
    table = Table(title=f"{title}: judged, with the difference to the step before (the last ones to `{LEARNING}`)")
    for column in ("stretch", "slates", "users", *ladder):
        table.add_column(column, justify="left" if column == "stretch" else "right")
    for label, stretches in [*((str(one + 1), [one]) for one in rest), ("all", list(rest))]:
        users = np.concatenate([results[one]["users"] for one in stretches])
        if not len(users):
            continue
        cells = []
        for step, name in enumerate(ladder):
            before = "" if not step else ladder[min(step - 1, 2)]
            value = mean_interval(
                _column(results, stretches, name), users=users, bootstrap=Bootstrap(resamples=options.resamples)
            )
            said = f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]"
            gap = "" if not before else _said(_gap(results, stretches, name, before, options.resamples))
            cells.append(f"{said}\n{gap}")
        table.add_row(label, str(len(users)), str(len(np.unique(users))), *cells)
    console.print(table)
    took = np.array(run.seconds or [0.0])
    console.print(f"cut {format_time(run.cut)}, end {format_time(run.end)}, an increment every {options.every:g} h:")
    took_text = f"{np.median(took):.2f} s each in the median, {took.max():.2f} s at most"
    console.print(f"{len(run.deltas)} increments, {took_text}, {len(run.refused)} refused")
    for detail in sorted(set(run.refused))[:5]:
        console.print(detail)


def _gap(
    results: dict[int, dict[str, Any]], stretches: Sequence[int], name: str, other: str, resamples: int
) -> Interval:
    users = np.concatenate([results[one]["users"] for one in stretches])
    ours, theirs = (_column(results, stretches, one) for one in (name, other))
    return paired_difference(ours, theirs, users=users, bootstrap=Bootstrap(resamples=resamples))


def _said(gap: Interval) -> str:
    return f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


async def measure(mapping_file: Path, data: Path | None, options: Options) -> None:
    """Import into the state folder, replay, and print."""
    started, home = perf_counter(), options.state / "home"
    home.mkdir(parents=True, exist_ok=True)
    mapping, console = load_mapping(mapping_file, data), Console(stderr=True)
    catalog, profiles = await open_catalog("catalog.sqlite", home), await open_profiles("profiles.sqlite", home)
    history, log = await open_interactions("history.sqlite", home), await open_event_log("log", home)
    leases = await open_leases("leases", home)
    try:
        stores = ImportStores(catalog, profiles, history, log, leases, home / "lake")
        await run_import(mapping, stores)
        dataset = await collect(stores)
        configs = TrainConfigs()
        configs = replace(configs, recommend=msgspec.structs.replace(configs.recommend, exploration=0.0))
        run = Run(options, configs, dataset, ReplayPorts(catalog, LocalVectorIndexes()), console.print)
        with threadpool_limits(limits=1):
            await run.prepare()
            asks = visits(dataset, options, run.cut, run.end, configs)
            chosen: dict[str, dict[str, Any]] = {}
            results = await replay(run, asks, chosen)
        who = f"{options.sample} users drawn" if options.sample else "all users"
        show(run, results, chosen, f"{mapping.source}, {options.ask} each {options.by}, {who}")
        console.print(f"{perf_counter() - started:.0f} s, {(run.end - run.cut) / DAY:.0f} days replayed")
    finally:
        for store in (catalog, profiles, history, log, leases):
            await store.close()


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mapping", type=Path, default=sample_folder() / "mapping.toml", help="a mapping file")
    parser.add_argument("--data", type=Path, help="the folder of its files, where that is another")
    parser.add_argument("--state", type=Path, required=True, help="where the run keeps what it has done")
    parser.add_argument("--sample", type=int, default=0, help="ask for so many users, drawn once; default all")
    parser.add_argument("--warm", type=float, default=0.5, help="share of the time that the base is fitted on")
    parser.add_argument("--every", type=float, default=24.0, help="hours between increments")
    parser.add_argument("--stretches", type=int, default=6)
    parser.add_argument("--chosen-on", type=int, default=2, help="first stretches, on which settings are chosen")
    parser.add_argument("--by", choices=("invoice", "session"), default="invoice")
    parser.add_argument("--ask", choices=("before", "middle"), default="before")
    parser.add_argument("--resamples", type=int, default=2_000)
    given = parser.parse_args(arguments or [])
    options = Options(
        given.state, given.sample, given.warm, given.every, given.stretches, given.chosen_on, given.by, given.ask,
        given.resamples,
    )  # fmt: skip
    asyncio.run(measure(given.mapping, given.data, options))


if __name__ == "__main__":
    main(sys.argv[1:])

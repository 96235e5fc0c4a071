"""Gowalla check-ins, the fixed split of NGCF and LightGCN: Recall@20 and NDCG@20 among all items.

python -m benchmarks.quality.gowalla --data FOLDER [--state FOLDER] [--only graph] [--validation]

`--validation` judges on a tenth of each user's training pairs instead, held back at random: what settings were chosen
on. With `--state` a fit that is done is not repeated.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.lists import DEPTH, METRICS, fit_input, judged, means, ranked, read_pairs, timeless
from benchmarks.quality.record import Row, intervals, peak_mib, record
from kindred.core.config import Config
from kindred.evaluation.item_sets import ItemSets, from_pairs
from kindred.evaluation.ranking import rank_all
from kindred.models.graph import GraphConfig
from kindred.models.preference import PreferenceConfig
from kindred.training.fit.graph import GraphFilter
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.item_item import liked_matrix
from kindred.training.fit.registry import FITTINGS, fit_retriever

NAME, TITLE = "gowalla", "Gowalla, fixed split"
PUBLISHED = {
    "LightGCN": (0.1830, 0.1554, "He et al. 2020"),
    "GF-CF": (0.1849, 0.1518, "Shen et al. 2021"),
    "LinkProp-Multi": (0.1908, 0.1573, "Fu et al. 2022"),
    "SGFCF": (0.1898, 0.1566, "by Kim et al. 2025"),
    "PGSP": (0.1917, 0.1606, "by Kim et al. 2025"),
    "BSPM": (0.1920, 0.1597, "Choi et al. 2023"),
    "ChebyCF": (0.1941, 0.1616, "Kim et al. 2025"),
}
PROTOCOL = (
    "29,858 users, 40,981 items; the split of NGCF and LightGCN. All items that a user has no training pair with are "
    "ranked; means over all users. Intervals: bootstrap over users. Published: "
    + ", ".join(f"{name} {found:.4f} / {gain:.4f} ({paper})" for name, (found, gain, paper) in PUBLISHED.items())
    + "."
)
SHARE, SEED = 0.1, 2020
TUNED = "powers, lift and frequencies, which became the defaults, on a random tenth of each user's training pairs"
UNTUNED = "nothing: the defaults"
WHOLE = "graph-whole"
SYSTEMS = {
    "graph": f"graph filter as served: {GraphConfig().neighbours} items of each",
    WHOLE: "graph filter, the whole operator",
}


class Split(NamedTuple):
    """What is learned from and what is looked for."""

    data: FitInput
    seen: ItemSets
    wanted: ItemSets


def split(data: Path, validation: bool) -> Split:
    """Read the split, or cut the one that settings are chosen on from its training part."""
    train, wanted = (read_pairs(data / NAME / f"{part}.parquet") for part in ("train", "test"))
    shape = tuple((np.maximum(train.max(axis=0), wanted.max(axis=0)) + 1).tolist())
    if validation:
        held = _held_back(train[:, 0])
        train, wanted = train[~held], train[held]
    rows = timeless(train[:, 0], train[:, 1], np.zeros(len(train), np.int16), ("view",))
    kept = fit_input(rows, *shape, PreferenceConfig(max_items=10_000))
    return Split(kept, *(from_pairs(pairs[:, 0], pairs[:, 1], shape[0]) for pairs in (train, wanted)))


def _held_back(users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark a random tenth of each user's rows, one at least; users ascend."""
    order = np.lexsort((np.random.default_rng(SEED).random(len(users)), users))
    sizes = np.unique(users, return_counts=True)[1]
    place = np.arange(len(users)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = np.empty(len(users), np.bool_)
    held[order] = place < np.maximum(np.rint(np.repeat(sizes, sizes) * SHARE), 1)
    return held


def settings(name: str) -> Config:
    """Return what a model is fitted with."""
    return FITTINGS[name].config()


def whole(parts: Split) -> NDArray[np.int32]:
    """Rank by the operator as it is before each item keeps its strongest others alone."""
    config = settings("graph")
    assert isinstance(config, GraphConfig)
    liked = liked_matrix(parts.data.preferences, parts.data.n_items, config.max_user_items)
    spread = GraphFilter.of(liked, config)
    return rank_all(lambda start, stop: spread(liked[start:stop]), parts.seen, parts.data.n_items, DEPTH)


def served(name: str, parts: Split) -> NDArray[np.int32]:
    """Rank by a model as it is served."""
    model = fit_retriever(name, parts.data, settings(name))
    return ranked(model, parts.data, np.arange(parts.data.n_users), parts.seen)


class Ranked(NamedTuple):
    """What one system gave: lists (n_users, 20), seconds of fitting and ranking, peak memory of the process."""

    lists: NDArray[np.int32]
    seconds: float
    peak_mib: float


def kept(place: Path | None, rank: Callable[[], NDArray[np.int32]]) -> Ranked:
    """Rank, unless `place` holds the lists already."""
    if place is not None and place.exists():
        with np.load(place) as held:
            return Ranked(held["lists"], float(held["seconds"]), float(held["peak_mib"]))
    started = perf_counter()
    lists = rank()
    found = Ranked(lists, perf_counter() - started, peak_mib())
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez(place, **found._asdict())
    return found


def run(name: str, parts: Split, state: Path | None, validation: bool) -> Row:
    """Judge one system and return its row."""
    part = "validation" if validation else "test"
    place = state and state / f"{NAME}-{part}-{name}.npz"
    found = kept(place, lambda: whole(parts) if name == WHOLE else served(name, parts))
    ours = name in {WHOLE, "graph"}
    return Row(
        system=SYSTEMS.get(name, name),
        figures=intervals(means(judged(found.lists, parts.wanted))),
        tuned=TUNED if ours else UNTUNED,
        command=f"python -m benchmarks.quality.{NAME} --data DATA --only {name}",
        seconds=found.seconds,
        peak_mib=found.peak_mib,
        published=dict(zip(METRICS, PUBLISHED["ChebyCF"], strict=False)) if ours else {},
        citation=f"ChebyCF, {PUBLISHED['ChebyCF'][2]}" if ours else "",
        note="seconds by the clock, with ranking, on one shared core",
    )


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the datasets")
    parser.add_argument("--state", type=Path, help="keep finished rankings here")
    parser.add_argument("--only", nargs="+", choices=(WHOLE, *FITTINGS), default=[WHOLE, "graph"])
    parser.add_argument("--validation", action="store_true", help="judge on a part of the training pairs")
    given = parser.parse_args(arguments or [])
    parts = split(given.data, given.validation)
    for name in given.only:
        row = run(name, parts, given.state, given.validation)
        sys.stdout.write(f"{row.system}: {row.figures}; {row.seconds:.0f} s, {row.peak_mib:.0f} MiB\n")
        if not given.validation:
            record(NAME, TITLE, PROTOCOL, row)
    for name, (found, gain, citation) in PUBLISHED.items():
        sys.stdout.write(f"published: {name} {found:.4f} / {gain:.4f} ({citation})\n")


if __name__ == "__main__":
    main(sys.argv[1:])

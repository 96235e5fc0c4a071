"""Other packages and our models on the same splits, in the same table.

python -m benchmarks.quality.peers --data FOLDER --state FOLDER [--only implicit] [--split ml-1m]

Each package lives in an environment of its own, made from `peers/<package>/requirements.txt` inside the state folder.
Every system is fitted with its defaults and with each setting of its small grid on a validation split cut from the
training part; the defaults and the best there are then fitted on the whole training part and judged once on the test
split. One thread each, one at a time; fits that are done are not repeated.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.peers.splits import SPLITS, Contest, Pairs, save_train
from benchmarks.quality.peers.systems import SYSTEMS, Settings, System
from benchmarks.quality.record import REPOSITORY, Row, intervals, record
from kindred.evaluation.intervals import mean_interval
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.metrics import judge, ndcg, recall
from kindred.training.fit.registry import FITTINGS

HERE = Path(__file__).parent
OURS = "ours"
PROTOCOLS = {
    "ml-1m": (
        "Packages compared: ML-1M",
        "A random fifth of each user's films (seed 42) is looked for among all films, seen ones left out; every pair "
        "counts 1. Intervals: bootstrap over users.",
    ),
    "online-retail": (
        "Packages compared: UCI Online Retail",
        "Purchases before the moment that leaves a fifth of the lines behind it are learned from; items that a user "
        "buys for the first time after it are looked for among all items. Intervals: bootstrap over users.",
    ),
}
CHOICE = "ndcg@10"
METRICS = {"ndcg@10": (ndcg, 10), "recall@20": (recall, 20)}


class Fitted(NamedTuple):
    """What one fit gave: lists (u, 20), CPU seconds of fitting, the process's peak memory."""

    ranked: NDArray[np.int32]
    seconds: float
    peak_mib: float


def environment(package: str, state: Path) -> Path:
    """Return the Python of a package's environment, made where it is missing or its requirements have changed."""
    if package == OURS:
        return Path(sys.executable)
    needs = HERE / package / "requirements.txt"
    place = state / "environments" / package
    done = place / "installed.txt"
    if not done.exists() or done.read_text() != needs.read_text():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([place / "bin" / "pip", "install", "--quiet", "-r", needs], check=True)
        done.write_text(needs.read_text())
    return place / "bin" / "python"


def fit(system: System, settings: Settings, split: str, train: Pairs, contest: Contest, state: Path) -> Fitted:
    """Fit one system in its own process, or take the lists of an earlier run."""
    told = [split, len(train.users), system.package, system.name, settings]
    name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:20]
    out = state / "lists" / f"{name}.npz"
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            given, draft = Path(folder) / "train.npz", out.with_suffix(".draft.npz")
            save_train(given, train, contest)
            module = f"benchmarks.quality.peers.{system.package}.fit"
            words = ["-m", module, system.name, json.dumps(settings), str(given), str(draft)]
            threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LK_NUM_THREADS"), "1")
            subprocess.run(
                [environment(system.package, state), *words], cwd=REPOSITORY, env={**os.environ, **threads}, check=True
            )
            draft.replace(out)
    with np.load(out) as kept:
        return Fitted(kept["ranked"], float(kept["seconds"]), float(kept["peak_mib"]))


def compete(system: System, split: str, contest: Contest, state: Path) -> list[Row]:
    """Choose settings on the validation part and judge the defaults and the chosen ones."""
    tried = [{}, *system.grid]
    found = [_measured(system, settings, split, contest.choose, contest, state)[1] for settings in tried]
    best = tried[int(np.argmax([np.nanmean(each[CHOICE]) for each in found]))]
    choice = f"validation cut from train, best of {len(tried)}: {_words(best) or 'the defaults'}"
    defaults = choice if not best and system.grid else "nothing: defaults"
    if split in system.chosen_on:
        defaults = f"{choice if not best else 'defaults'}, once chosen in this dataset's training part"
    entries = [({}, system.label, defaults)]
    if best:
        entries.append((best, f"{system.label}, tuned", choice))
    return [_row(system, *entry, split, contest, state) for entry in entries]


def _row(system: System, settings: Settings, label: str, tuned: str, split: str, contest: Contest, state: Path) -> Row:
    found, measured = _measured(system, settings, split, contest.judge, contest, state)
    return Row(
        system=label,
        figures=intervals({name: mean_interval(values) for name, values in measured.items()}),
        tuned=tuned,
        command=f"python -m benchmarks.quality.peers --data DATA --state STATE --split {split}",
        seconds=found.seconds,
        peak_mib=found.peak_mib,
    )


def _measured(
    system: System, settings: Settings, split: str, asked: tuple[Pairs, Pairs], contest: Contest, state: Path
) -> tuple[Fitted, dict[str, NDArray[np.float64]]]:
    """Fit on the first of two parts and return each metric by user on the second, NaN where nothing is looked for."""
    learned, wanted = asked
    found = fit(system, settings, split, learned, contest, state)
    judged = judge(found.ranked, from_pairs(wanted.users, wanted.items, contest.n_users))
    return found, {name: measure(judged, k) for name, (measure, k) in METRICS.items()}


def _words(settings: Settings) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument(
        "--state", type=Path, default=Path(".cache/peers"), help="environments, and lists that are done"
    )
    parser.add_argument("--split", choices=SPLITS, action="append", help="by default all")
    parser.add_argument("--only", action="append", help="packages; by default all")
    given = parser.parse_args()
    for split in given.split or SPLITS:
        contest = SPLITS[split](given.data)
        title, protocol = PROTOCOLS[split]
        for system in SYSTEMS:
            absent = system.package == OURS and system.name not in ("popularity", *FITTINGS)
            if absent or (given.only and system.package not in given.only):
                continue
            for row in compete(system, split, contest, given.state.resolve()):
                print(split, row.system, row.figures, f"{row.seconds:.1f} s", f"{row.peak_mib:.0f} MiB", row.tuned)
                record(f"packages-{split}", title, f"{protocol} s: CPU seconds of fitting on one thread.", row)


if __name__ == "__main__":
    main()

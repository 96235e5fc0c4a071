"""Past users are asked again: what each set of models answers, and what showing the most popular items would."""

from pathlib import Path
from time import thread_time
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.recommend.model_set import ModelSet
from kindred.training.config import TrainConfigs
from kindred.training.fit.blend import DEPTH
from kindred.training.holdout import Asked
from kindred.training.replay import Replay, ReplayPorts, padded

CANDIDATE = "candidate"
FULL_FIT = "full_fit"
ACTIVE = "active"
POPULAR = "popular"


class _Said(msgspec.Struct):
    """The part of answers that is no array."""

    request_ms: float
    active: str | None


class Answers(NamedTuple):
    """The first ten for each judge: `ranked`: system → (u, 10) int32, padded with -1.

    `request_ms`: processor time of the median request with the models that are to be published, which does not depend
    on what else the machine does. `active`: the version that the `active` system stands for, None where there is none.
    """

    ranked: dict[str, NDArray[np.int32]]
    request_ms: float
    active: str | None

    def save(self, folder: Path) -> None:
        """Write the lists and what else there is."""
        for name, lists in self.ranked.items():
            save_array(folder, name, lists)
        save_json(folder, "said", _Said(self.request_ms, self.active))

    @classmethod
    def load(cls, folder: Path) -> "Answers":
        """Open what was written; raise BundleCorrupt."""
        said = load_json(folder, "said", _Said)
        names = sorted(path.stem for path in folder.glob("*.npy"))
        ranked = {name: load_array(folder, name, np.int32, (None, DEPTH)) for name in names}
        return cls(ranked, said.request_ms, said.active)


def judging(asked: Asked, taught: bool, most: int, seed: int) -> Asked:
    """Return the asked users who may judge, at most `most`: all of them where nobody taught."""
    rows = np.flatnonzero(asked.judges) if taught else np.arange(len(asked.users))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return asked._replace(users=asked.users[rows], wanted=asked.wanted.take(rows), judges=np.ones(len(rows), np.bool_))


async def answered(
    judges: Asked, systems: dict[str, ModelSet], active: str | None, ports: ReplayPorts, configs: TrainConfigs
) -> Answers:
    """Ask the judges, with their state as it stood at the split, with each set of models in place of the bundle."""
    ranked, request_ms = {}, 0.0
    for name, models in systems.items():
        replay = await Replay.open(judges.train, models, judges.users, ports, configs)
        lists: list[Ordinals] = []
        spent = []
        for user, moment in zip(judges.users.tolist(), judges.moments().tolist(), strict=True):
            started = thread_time()
            lists.append(await replay.slate(user, moment, DEPTH))
            spent.append(thread_time() - started)
        ranked[name] = padded(lists, DEPTH)
        if name == FULL_FIT:
            request_ms = round(1_000 * float(np.median(spent)), 3)
    ranked[POPULAR] = most_popular(judges)
    return Answers(ranked, request_ms, active)


def most_popular(judges: Asked) -> NDArray[np.int32]:
    """Return the listed items of the most users that each judge does not know, (u, 10) int32, ties by ordinal."""
    rows = judges.train.interactions
    pairs = np.unique(np.stack([rows.items, rows.users])[:, rows.items >= 0], axis=1)
    counts = np.bincount(pairs[0], minlength=judges.train.n_items)
    listed = np.flatnonzero(judges.train.listed())
    order = listed[np.argsort(-counts[listed], kind="stable")]
    by_user = pairs[:, np.argsort(pairs[1], kind="stable")]
    starts, ends = (np.searchsorted(by_user[1], judges.users, side=side) for side in ("left", "right"))
    lists = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        seen = by_user[0, start:end]
        first = order[: DEPTH + len(seen)]
        lists.append(first[~np.isin(first, seen)][:DEPTH].astype(np.int32))
    return padded(lists, DEPTH)

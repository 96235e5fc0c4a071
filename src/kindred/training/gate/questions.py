"""Past users are asked again: what each set of models answers, and what showing the most popular items would."""

from pathlib import Path
from time import thread_time
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash
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
    judges: str


class Answers(NamedTuple):
    """The first ten for each judge: `ranked`: system → (u, 10) int32, padded with -1.

    `request_ms`: processor time of the median request with the models that are to be published, which does not depend
    on what else the machine does. `active`: the version that the `active` system stands for, None where there is none.
    `judges`: a hash of who was asked.
    """

    ranked: dict[str, NDArray[np.int32]]
    request_ms: float
    active: str | None
    judges: str

    def save(self, folder: Path) -> None:
        """Write the lists and what else there is."""
        for name, lists in self.ranked.items():
            save_array(folder, name, lists)
        save_json(folder, "said", _Said(self.request_ms, self.active, self.judges))

    @classmethod
    def load(cls, folder: Path) -> "Answers":
        """Open what was written; raise BundleCorrupt."""
        said = load_json(folder, "said", _Said)
        names = sorted(path.stem for path in folder.glob("*.npy"))
        ranked = {name: load_array(folder, name, np.int32, (None, DEPTH)) for name in names}
        return cls(ranked, said.request_ms, said.active, said.judges)


def judging(asked: Asked, taught: bool, most: int, seed: int) -> Asked:
    """Return the asked users who may judge, at most `most`: all of them where nobody taught."""
    rows = np.flatnonzero(asked.judges) if taught else np.arange(len(asked.users))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return asked._replace(users=asked.users[rows], wanted=asked.wanted.take(rows), judges=np.ones(len(rows), np.bool_))


def names_of(judges: Asked) -> str:
    """Return a hash of the ids of who is asked, in their order."""
    ids = judges.train.user_ids
    return xxhash.xxh3_128_hexdigest("\0".join(ids[user] for user in judges.users.tolist()).encode())


async def answered(
    judges: Asked, systems: dict[str, ModelSet], active: str | None, ports: ReplayPorts, configs: TrainConfigs
) -> Answers:
    """Ask the judges, with their state as it stood at the split, with each set of models in place of the bundle."""
    ranked, request_ms = {}, 0.0
    moments = judges.moments()
    for name, models in systems.items():
        replay = await Replay.open(judges.train, models, judges.users, ports, configs)
        lists: list[Ordinals] = [np.empty(0, np.int32)] * len(judges.users)
        spent = []
        # The replay's clocks go forwards cheaply, and backwards not at all.
        for place in np.argsort(moments, kind="stable").tolist():
            user, moment = int(judges.users[place]), int(moments[place])
            lists[place] = await replay.slate(user, moment, DEPTH)
            if name == FULL_FIT:
                # Again, since the first time took the clocks along: a server's trends and records are there already.
                started = thread_time()
                await replay.slate(user, moment, DEPTH)
                spent.append(thread_time() - started)
        ranked[name] = padded(lists, DEPTH)
        if name == FULL_FIT:
            request_ms = round(1_000 * float(np.median(spent)), 3)
    ranked[POPULAR] = most_popular(judges)
    return Answers(ranked, request_ms, active, names_of(judges))


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

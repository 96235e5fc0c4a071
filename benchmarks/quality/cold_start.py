"""Each cold-start strategy against plain popularity, on users and items held out of training.

python -m benchmarks.quality.cold_start                      the packaged data
python -m benchmarks.quality.cold_start --mapping docs/guide/mappings/ml-100k.toml --data FOLDER --by gender \
  --by attributes.occupation                                  data with demographics
python -m benchmarks.quality.cold_start --diversity 0        what the strategies give before slates are made diverse

The users who came last (a fifth) are new: models learn only from what others did before the first of them came. Each is
asked for at their own moment, and what is to be found are the relevant items behind their first five events. What
trends then is what all others did.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.quality.funnel import imported
from benchmarks.servers import machine
from kindred.core.candidates import Ordinals
from kindred.core.profile import Profile
from kindred.evaluation.intervals import Interval, mean_interval, paired_difference
from kindred.evaluation.item_sets import ItemSets, from_pairs
from kindred.evaluation.metrics import judge, ndcg, recall
from kindred.ingest.importing import ImportMapping, load_mapping
from kindred.models.preference import Interactions
from kindred.models.segments import SegmentsConfig
from kindred.recommend.config import RecommendConfig
from kindred.recommend.model_set import ModelSet
from kindred.recommend.starters import POOL, starters
from kindred.recommend.taste import content_profile
from kindred.sample import sample_folder
from kindred.training.bundle import trial_models
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.inputs import silent
from kindred.training.fit.models import fit_models
from kindred.training.holdout import hold_out
from kindred.training.relevance import relevant_rows
from kindred.training.replay import Replay, ReplayPorts, padded

COUNT = 20
FIRST = 5
CHOSEN = 3
"""Categories that a new user ticks: those most frequent among the relevant items of their first five events."""
LISTED = 20
"""Items that a new user is asked about at the start."""
SHARE = 0.2
SEED = 20_240_601
NEW_USERS = 10
"""An item can play a new one when so many users make it known whether content is right."""
METRICS = (("NDCG@10", ndcg, 10), ("recall@20", recall, 20))
WIDTH = 160


@dataclass(frozen=True)
class Newcomers:
    """Users `users (u,)` who came last, with their rows in order of time, and what was learned before they came."""

    dataset: Dataset
    users: NDArray[np.int64]
    train: Dataset
    models: ModelSet
    ports: ReplayPorts
    configs: TrainConfigs

    def rows(self, user: int) -> Interactions:
        """Return a user's rows, oldest first."""
        rows = self.dataset.interactions
        mine = rows.take(np.flatnonzero(rows.users == user))
        return mine.take(np.argsort(mine.timestamps, kind="stable"))


@dataclass(frozen=True)
class Asked:
    """What one state of the new users brings: `known[i]` are the rows of `users[i]` that the state holds."""

    known: list[Interactions]
    excluded: list[tuple[int, ...]]
    profiles: list[Profile | None]


async def learned(dataset: Dataset, ports: ReplayPorts, configs: TrainConfigs, folder: Path) -> Newcomers:
    """Split the users by when they came, and learn from the earlier ones."""
    rows = dataset.interactions
    first = np.full(dataset.n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, rows.users, rows.timestamps)
    came = np.argsort(first, kind="stable")[: len(np.unique(rows.users))]
    late = came[int(len(came) * (1 - SHARE)) :]
    cut = int(first[late].min())
    train = dataset.with_rows((rows.timestamps < cut) & ~np.isin(rows.users, late))
    fitted = fit_models(train, configs, cut)
    held = await hold_out(train, configs, ports, cut, fitted.content, silent)
    models = replace(trial_models(fitted, held.blend, folder, ports.indexes), ranker=held.ranker)
    return Newcomers(dataset, np.sort(late), train, models, ports, configs)


def wanted_of(new: Newcomers, without: frozenset[int] = frozenset()) -> ItemSets:
    """Return the relevant items behind each new user's first five events, which are the same for every strategy."""
    pairs: list[tuple[int, int]] = []
    for place, user in enumerate(new.users.tolist()):
        rows = new.rows(user)
        early, late = rows.items[:FIRST], rows.take(np.arange(FIRST, max(len(rows), FIRST)))
        items = late.items[relevant_rows(late, new.configs.relevance)]
        pairs += [(place, item) for item in set(items.tolist()) - set(early.tolist()) - without]
    users, items = np.array(pairs, np.int64).T
    return from_pairs(users, items, len(new.users))


def strategies(new: Newcomers) -> Iterator[tuple[str, Asked, frozenset[int]]]:
    """Yield each strategy's name, what the state then holds, and items that its asking uses up."""
    every = [new.rows(user) for user in new.users.tolist()]
    nothing: list[Profile | None] = [None] * len(every)
    free: list[tuple[int, ...]] = [()] * len(every)
    yield "nothing known", Asked([_first(rows, 0) for rows in every], free, nothing), frozenset()
    told = [_traits(new, user) for user in new.users.tolist()]
    if any(told):
        yield "traits known", Asked([_first(rows, 0) for rows in every], free, told), frozenset()
    picked = [_ticked(new, user, _first(rows, FIRST)) for user, rows in zip(new.users.tolist(), every, strict=True)]
    seen = [tuple(rows.items[:FIRST].tolist()) for rows in every]
    yield f"{CHOSEN} categories chosen", Asked([_first(rows, 0) for rows in every], seen, picked), frozenset()
    pool = new.models.popularity.top_items[:POOL]
    fame = new.models.popularity.scores[pool]
    lists = {"starter list": starters(pool, fame, new.models.item_item, LISTED), "most popular": pool[:LISTED]}
    # Neither list may win by what the other one uses up.
    used = np.unique(np.concatenate(list(lists.values())))
    for name, listed in lists.items():
        known = [_answered(new, rows, listed) for rows in every]
        yield (
            f"reactions to {LISTED}: {name}",
            Asked(known, [tuple(used.tolist())] * len(every), nothing),
            frozenset(used.tolist()),
        )
    for n in range(1, FIRST + 1):
        yield f"{n} events", Asked([_first(rows, n) for rows in every], free, nothing), frozenset()


def _traits(new: Newcomers, user: int) -> Profile | None:
    """Return the profile of a user who is in a segment that the bundle knows."""
    profile = new.dataset.profiles[user]
    now = int(new.rows(user).timestamps[0])
    return profile if new.models.segments.of(profile, None, now) else None


def _ticked(new: Newcomers, user: int, rows: Interactions) -> Profile | None:
    liked = rows.items[relevant_rows(rows, new.configs.relevance)]
    items = [new.dataset.items[item] for item in liked.tolist()]
    names = [name for one in items if one is not None for name in one.item.categories]
    best = sorted(set(names), key=lambda name: (-names.count(name), name))[:CHOSEN]
    return Profile(user_id=new.dataset.user_ids[user], preferred_categories=tuple(best)) if best else None


def _answered(new: Newcomers, rows: Interactions, asked: Ordinals) -> Interactions:
    """Return the user's own rows of the listed items, which stand for the reactions, at their first moment."""
    found = rows.take(np.flatnonzero(np.isin(rows.items, asked)))
    return replace(found, timestamps=np.full(len(found), rows.timestamps[0]))


async def ranked(new: Newcomers, asked: Asked) -> dict[str, NDArray[np.int32]]:
    """Return the lists (u, 20) of the funnel, and of popularity without what the user knows, for every new user."""
    rows = _joined([new.train.interactions, *asked.known])
    profiles = list(new.dataset.profiles)
    for user, profile in zip(new.users.tolist(), asked.profiles, strict=True):
        profiles[user] = profile
    known = replace(new.train, interactions=rows, profiles=profiles, contexts=None)
    opened = await Replay.open(known, new.models, new.users, new.ports, new.configs)
    # A live list is made of everybody's acts; of the new users' first ones alone it would be theirs.
    rows = new.dataset.interactions
    others = rows.take(~np.isin(rows.users, new.users))
    replay = opened.trending_by(others, new.configs.trending)
    lists: dict[str, list[Ordinals]] = {"funnel": [], "popular": []}
    for user, mine, excluded in zip(new.users.tolist(), asked.known, asked.excluded, strict=True):
        now = int(mine.timestamps[-1]) if len(mine) else int(new.rows(user).timestamps[0])
        lists["funnel"].append(await replay.slate(user, now, COUNT, excluded=excluded))
        top = (await replay.propose(user, now, COUNT)).parts["popular"].items
        lists["popular"].append(top[~np.isin(top, excluded)][:COUNT])
    return {name: padded(found, COUNT) for name, found in lists.items()}


def judged(
    new: Newcomers, lists: dict[str, NDArray[np.int32]], wanted: ItemSets
) -> list[tuple[str, Interval, Interval]]:
    """Return for each metric the funnel's mean and its paired difference to popularity, with intervals."""
    hungry = np.flatnonzero(wanted.sizes > 0)
    found = {name: judge(ranked[hungry], wanted.take(hungry)) for name, ranked in lists.items()}
    return [
        (
            name,
            mean_interval(metric(found["funnel"], k)),
            paired_difference(metric(found["funnel"], k), metric(found["popular"], k)),
        )
        for name, metric, k in METRICS
    ]


async def new_items(new: Newcomers) -> tuple[Interval, int]:
    """Return how often content puts a new item that a user liked before one they have not touched, and how many items.

    A tenth of the items with ten users is new: the histories, of users who were there, are without them. Content is
    of texts alone. Half is what popularity knows of items without a user.
    """
    rows, generator = new.train.interactions, np.random.default_rng(SEED)
    counted = np.flatnonzero(np.bincount(rows.items, minlength=new.dataset.n_items) >= NEW_USERS)
    fresh = np.sort(generator.choice(counted, len(counted) // 10, replace=False))
    users = np.setdiff1d(np.unique(rows.users), new.users)
    known = new.train.with_rows(~np.isin(rows.items, fresh))
    replay = await Replay.open(known, new.models, users, new.ports, new.configs)
    liked = rows.take(relevant_rows(rows, new.configs.relevance))
    now, values = int(rows.timestamps.max()), []
    for user in users.tolist():
        mine = np.isin(fresh, liked.items[liked.users == user])
        touched = np.isin(fresh, rows.items[rows.users == user])
        if not mine.any():
            continue
        query = (await replay.propose(user, now, 1)).query
        near = replay.world.content_vectors(fresh.astype(np.int32)) @ content_profile(replay.world, query)
        gaps = near[mine][:, None] - near[~touched][None, :]
        values.append(float((gaps > 0).mean() + (gaps == 0).mean() / 2))
    return mean_interval(np.array(values) - 0.5), len(fresh)


def _joined(parts: list[Interactions]) -> Interactions:
    columns = ("users", "items", "timestamps", "event_types", "values")
    return Interactions(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns), parts[0].names)


def _first(rows: Interactions, count: int) -> Interactions:
    return rows.take(np.arange(min(count, len(rows))))


def _said(interval: Interval) -> str:
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


async def measure(mapping: ImportMapping, configs: TrainConfigs, home: Path, console: Console) -> None:
    """Learn, ask and print."""
    async with imported(mapping, home, configs.segments.by) as (dataset, ports):
        models = home / "models"
        models.mkdir()
        new = await learned(dataset, ports, configs, models)
        title = f"{mapping.source}: {len(new.users)} new users, {len(new.train.interactions)} rows learned from"
        table = Table(title=title)
        for column in (
            "state",
            "users",
            *(f"{name}: {side}" for name, _, _ in METRICS for side in ("funnel", "minus popular")),
        ):
            table.add_column(column, justify="left" if column == "state" else "right")
        for name, asked, used in strategies(new):
            found = judged(new, await ranked(new, asked), wanted_of(new, used))
            cells = [cell for _, mean, gap in found for cell in (f"{mean.mean:.4f}", _said(gap))]
            table.add_row(name, str(found[0][1].users), *cells)
        console.print(table)
        gap, count = await new_items(new)
        console.print(f"new items by content: AUC above one half {_said(gap)}, {gap.users} users, {count} items")
        console.print(machine())


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mapping", type=Path, default=sample_folder() / "mapping.toml", help="a mapping file")
    parser.add_argument("--data", type=Path, help="the folder of its files, where that is another")
    parser.add_argument("--by", action="append", help="a trait that makes segments, instead of the default ones")
    parser.add_argument(
        "--diversity", type=float, default=RecommendConfig().diversity, help="how unlike items are to be"
    )
    given = parser.parse_args(arguments or [])
    segments = SegmentsConfig() if given.by is None else SegmentsConfig(by=tuple(given.by))
    configs = TrainConfigs(segments=segments, recommend=RecommendConfig(diversity=given.diversity))
    with tempfile.TemporaryDirectory(prefix="kindred-cold-") as home, threadpool_limits(limits=1, user_api="blas"):
        asyncio.run(measure(load_mapping(given.mapping, given.data), configs, Path(home), Console(width=WIDTH)))


if __name__ == "__main__":
    main(sys.argv[1:])

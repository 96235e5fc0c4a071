"""The hold-out inside a training run: learns the blend and measures the parts on rows that no model has seen."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Ordinals
from kindred.core.errors import InvalidInput
from kindred.core.query import Query
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.metrics import judge, ndcg
from kindred.evaluation.splits import Split, global_time, per_user_temporal
from kindred.models.blend import BlendModel, blended, split_families
from kindred.models.content import ContentModel
from kindred.models.ranker import RankerModel
from kindred.models.segments import SegmentsModel
from kindred.recommend.model_set import ModelSet
from kindred.recommend.taste import user_evidence
from kindred.training.bundle import trial_models
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.blend import DEPTH, BlendExamples, blend_ndcg, learn_weights
from kindred.training.fit.models import fit_models
from kindred.training.ranking.fit import train_ranker
from kindred.training.relevance import unseen_relevant
from kindred.training.replay import Replay, ReplayPorts, padded

PER_MODEL = 50
_EVERY = 5


class Asked(NamedTuple):
    """Past users who are asked what they did next.

    `train`: the rows before the split, `cut`: its moment (ms; None: each user's newest rows are held back). `users
    (u,)`, ascending, and what each `wanted (u sets)` that they had not met before. `judges (u,) bool`: who teaches
    nothing, in no training ever, and measures. `future`: the rows that are held back.
    """

    train: Dataset
    cut: int | None
    users: NDArray[np.int64]
    wanted: ItemSets
    judges: NDArray[np.bool_]
    future: Dataset

    def taught(self) -> Dataset:
        """Return the rows that are held back of users who do not judge."""
        rows = self.future.interactions.users
        users = np.unique(rows)
        return self.future.with_rows(~np.isin(rows, users[who_judge(self.future.user_ids, users)]))

    def moments(self) -> NDArray[np.int64]:
        """Return when each user asks (u,) int64 ms: at the split, or at their last row before it."""
        if self.cut is not None:
            return np.full(len(self.users), self.cut, np.int64)
        return last_times(self.train)[self.users]


@dataclass(frozen=True, slots=True)
class Held:
    """What the hold-out gave: the blend to use, a ranker if it is better than that, and metrics by name."""

    blend: BlendModel
    metrics: dict[str, float] = field(default_factory=dict)
    ranker: RankerModel | None = None


def configured_blend(configs: TrainConfigs, segments: SegmentsModel | None = None) -> BlendModel:
    """Return the blend of a bundle that learned none, with these segments where it has any."""
    known = segments is not None and bool(segments.places)
    return BlendModel.from_config(configs.blend, blended(configs.training.retrieval, known))


async def hold_out(
    dataset: Dataset,
    configs: TrainConfigs,
    ports: ReplayPorts,
    as_of: int,
    content: ContentModel,
    progress: Callable[[str], None],
) -> Held:
    """Fit on all but each user's newest rows, replay the rest, and learn the blend and the ranker from it.

    A fifth of the replayed users judge and do not teach. Without enough users the configured blend stays.
    """
    asked = ask(dataset, configs)
    if asked is None:
        return Held(configured_blend(configs))
    fitted = fit_models(asked.train, configs, asked.cut or as_of, content=content)
    with tempfile.TemporaryDirectory(prefix="kindred-holdout-") as folder:
        models = trial_models(fitted, configured_blend(configs, fitted.segments), Path(folder), ports.indexes)
        held = await learn_blend(asked, models, configs, ports, progress)
        trial = replace(models, blend=held.blend)
        ranker = await train_ranker(dataset, asked.taught(), trial, configs, ports, progress)
        return Held(held.blend, held.metrics | ranker.metrics, ranker.model)


def ask(dataset: Dataset, configs: TrainConfigs) -> Asked | None:
    """Hold back the newest rows and choose users with something to find in them; None where there are none."""
    split = inner_split(dataset, configs)
    if split is None:
        return None
    train, test, cut = split
    wanted = unseen_relevant(test.interactions, train.interactions, dataset.n_users, configs.relevance)
    users = _sample(wanted, train, configs)
    if not len(users):
        return None
    return Asked(train, cut, users, wanted.take(users), who_judge(dataset.user_ids, users), test)


def who_judge(user_ids: Sequence[str], users: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say which of `users (u,)` judge: a fifth of all, the same ones in every training.

    By their id alone: who was drawn anew each time would judge today what they taught yesterday.
    """
    hashes = (xxhash.xxh3_64_intdigest(f"judge {user_ids[user]}".encode()) for user in users.tolist())
    return np.fromiter((one % _EVERY == 0 for one in hashes), np.bool_, len(users))


async def learn_blend(
    asked: Asked, models: ModelSet, configs: TrainConfigs, ports: ReplayPorts, progress: Callable[[str], None]
) -> Held:
    """Replay the asked users over models of the rows before the split, and learn the blend from what they found."""
    replay = await Replay.open(asked.train, models, asked.users, ports, configs)
    progress("holdout")
    examples, lists = await blend_examples(replay, asked, configs)
    return _learned(configured_blend(configs, models.segments), examples, lists, asked, configs)


def inner_split(dataset: Dataset, configs: TrainConfigs) -> tuple[Dataset, Dataset, int | None] | None:
    """Hold back the newest share of the timed rows: (train, test, moment of the split or None).

    By one moment where enough users have rows on both sides of it, since that is how requests come; else by each
    user's newest rows. None when neither can be.
    """
    rows, share = dataset.interactions, configs.training.holdout_share
    timed = np.flatnonzero((rows.timestamps >= 0) & (rows.items >= 0))
    if share <= 0 or len(timed) < 2:
        return None
    columns = rows.users[timed], rows.items[timed], rows.timestamps[timed]
    for split in _splits(columns, share):
        held = np.zeros(len(rows), np.bool_)
        held[timed[split.test]] = True
        train, test = dataset.with_rows(~held), dataset.with_rows(held)
        both = np.intersect1d(train.interactions.users, test.interactions.users)
        if split.cut is None or len(both) >= configs.training.min_users:
            return train, test, split.cut
    return None


def _splits(columns: tuple[Ordinals, Ordinals, NDArray[np.int64]], share: float) -> Iterator[Split]:
    """Go through the splits that the data allows, the better one first."""
    with suppress(InvalidInput):
        yield global_time(*columns, quantile=1.0 - share)
    with suppress(InvalidInput):
        yield per_user_temporal(*columns, share=share)


def last_times(dataset: Dataset) -> NDArray[np.int64]:
    """Return when each user's last row was (u,) int64 ms, -1 where no row has a time."""
    found = np.full(dataset.n_users, -1, np.int64)
    np.maximum.at(found, dataset.interactions.users, dataset.interactions.timestamps)
    return found


def _sample(wanted: ItemSets, train: Dataset, configs: TrainConfigs) -> NDArray[np.int64]:
    """Return users with something to find and a history to find it from, ascending."""
    users = np.flatnonzero((wanted.sizes > 0) & (last_times(train) >= 0))
    most = configs.training.holdout_users
    if len(users) > most:
        users = np.sort(np.random.default_rng(configs.training.seed).choice(users, most, replace=False))
    return users


async def blend_examples(
    replay: Replay, asked: Asked, configs: TrainConfigs
) -> tuple[BlendExamples, dict[str, list[Ordinals]]]:
    """Replay users up to the blend: padded model columns, and the best of each source."""
    wanted = asked.wanted
    blend, names = configs.blend, replay.world.models.scored
    cold_user, cold_item = (
        np.array(list(split_families(families, blend, names).values()), np.float32)
        for families in (blend.cold_user, blend.cold_item)
    )
    rows: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]] = []
    lists: dict[str, list[Ordinals]] = {name: [] for name in replay.sources}
    for row, (user, moment) in enumerate(zip(asked.users.tolist(), asked.moments().tolist(), strict=True)):
        proposed = await replay.propose(user, moment, DEPTH)
        for name in lists:
            part = proposed.parts.get(name)
            lists[name].append(np.empty(0, np.int32) if part is None else part.items[:DEPTH])
        found = _pruned(replay.scored(proposed), names)
        columns = np.stack([found.column(f"model.{name}", 0.0) for name in names], axis=1)
        much, known = _evidence(replay, proposed.query, found)
        unknown = blend.cold_item_scale * much * (1 - known)
        base = unknown * (columns @ cold_item) + (1 - much) * (columns @ cold_user)
        mine = wanted.indices[wanted.indptr[row] : wanted.indptr[row + 1]]
        rows.append((columns, base.astype(np.float32), much * known, np.isin(found.items, mine)))
    return _padded_examples(rows, wanted.sizes), lists


def _evidence(replay: Replay, query: Query, found: Candidates) -> tuple[np.float32, NDArray[np.float32]]:
    """Return how much is known of the user, and of each candidate (c,), as the blend weighs it."""
    k = np.float32(max(replay.world.config.evidence, 1e-6))
    users = replay.world.evidence(found.items).astype(np.float32)
    return user_evidence(replay.world, query), users / (users + k)


def _pruned(found: Candidates, names: Sequence[str]) -> Candidates:
    """Keep the candidates that some model ranks among its first, which alone can reach the top of a blend."""
    kept = np.zeros(len(found), np.bool_)
    for name in names:
        column = found.column(f"model.{name}", 0.0)
        kept[np.argsort(-column, kind="stable")[:PER_MODEL]] |= True
    return found.take(kept)


def _padded_examples(
    rows: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]],
    wanted: NDArray[np.int64],
) -> BlendExamples:
    width = max((len(row[1]) for row in rows), default=0)
    shape = (len(rows), max(width, 1))
    columns = np.zeros((*shape, rows[0][0].shape[1]), np.float32)
    base = np.full(shape, -np.inf, np.float32)
    factor, relevant = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    for user, (values, start, scale, hits) in enumerate(rows):
        columns[user, : len(start)], base[user, : len(start)] = values, start
        factor[user, : len(start)], relevant[user, : len(start)] = scale, hits
    return BlendExamples(columns, base, factor, relevant, wanted)


def _learned(
    configured: BlendModel,
    examples: BlendExamples,
    lists: dict[str, list[Ordinals]],
    asked: Asked,
    configs: TrainConfigs,
) -> Held:
    """Learn from about four fifths of the users and measure on the others, where there are any."""
    training = configs.training
    judges, wanted, names = asked.judges, asked.wanted, list(configured.weights)
    blend = configured
    if configs.blend.learn and len(judges) >= training.min_users:
        weights = learn_weights(examples.take(~judges), names, configured.weights, training.prior_users, training.seed)
        blend = BlendModel(weights, True, configs.blend)
    metrics = {"holdout.users": float(judges.sum())}
    if not judges.any():
        return Held(blend, metrics)
    rows = np.flatnonzero(judges)
    for name, found in lists.items():
        scores = ndcg(judge(padded([found[row] for row in rows], DEPTH), wanted.take(rows)), DEPTH)
        if any(len(found[row]) for row in rows):
            metrics[f"holdout.ndcg@10.{name}"] = round(float(scores.mean()), 6)
    for name, model in (("blend", blend), ("configured_blend", configured)):
        weights_of = np.array([model.weights.get(one, 0.0) for one in names])
        metrics[f"holdout.ndcg@10.{name}"] = round(float(blend_ndcg(examples.take(judges), weights_of).mean()), 6)
    return Held(blend, metrics)

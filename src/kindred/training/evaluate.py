"""Evaluation end to end: the whole funnel and every source alone, on rows that nothing was trained on."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kindred.core.candidates import Ordinals
from kindred.core.clock import DAY, format_time
from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.splits import per_user_temporal, rolling_origins
from kindred.models.ranker import RankerReport
from kindred.recommend.config import RecommendConfig
from kindred.recommend.model_set import RANKER
from kindred.training.bundle import trial_models
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.inputs import silent
from kindred.training.fit.models import FittedModels, fit_models
from kindred.training.holdout import hold_out, last_times
from kindred.training.judging import EvaluationTables, FoldLists, tabulated
from kindred.training.relevance import unseen_relevant
from kindred.training.replay import Replay, ReplayPorts, padded

FUNNEL = "funnel"
EXPLORING = "funnel_exploring"
BLEND = "funnel_blend"
_SHARE_OF_SPAN = 12


class EvaluationConfig(Config, frozen=True, kw_only=True):
    """How rankings are judged.

    `protocol`: `per-user` holds back each user's newest rows, `rolling` everything after several moments. `share`:
    held back per user. `origins`: moments of the rolling protocol, at least 3. `horizon`: seconds after each that are
    tested, none = a twelfth of the data's span. `count`: length of a list. `max_users`: most users replayed per
    origin, none = all. `resamples`: of the bootstrap. `seed`: of draws.
    """

    protocol: Literal["per-user", "rolling"] = "per-user"
    share: float = 0.2
    origins: int = 3
    horizon: float | None = None
    count: int = 20
    max_users: int | None = None
    resamples: int = 2_000
    seed: int = 42


class OriginFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One split: `cut` is its moment (None per user), `users` were replayed, `cold_users` wanted something but had no
    history; `blend` are the weights learned inside the training part; `ranker`: what was found there of the ranker,
    None where the blend was as good.
    """

    cut: str | None
    train_rows: int
    test_rows: int
    users: int
    cold_users: int
    blend: dict[str, float]
    blend_learned: bool
    ranker: RankerReport | None


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation found; `tables` holds the metrics by system and the funnel's differences to each."""

    protocol: str
    origins: list[OriginFacts]
    tables: EvaluationTables
    exploration: float
    seconds: float
    parameters: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types; an undefined figure becomes None."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return {**plain, "tables": self.tables.to_dict()}


class _Fold(NamedTuple):
    """Rows to learn from, rows to find, and when each user asks (None: at their last row)."""

    train: Dataset
    test: Dataset
    cut: int | None


@dataclass(slots=True)
class _Run:
    """An evaluation under way."""

    dataset: Dataset
    configs: TrainConfigs
    options: EvaluationConfig
    ports: ReplayPorts
    progress: Callable[[str], None]
    variants: Mapping[str, RecommendConfig] = field(default_factory=dict)
    facts: list[OriginFacts] = field(default_factory=list)
    lists: list[FoldLists] = field(default_factory=list)

    async def fold(self, number: int, fold: _Fold) -> None:
        """Train inside a fold's training part and replay its test users."""
        wanted = unseen_relevant(
            fold.test.interactions, fold.train.interactions, self.dataset.n_users, self.configs.relevance
        )
        users, cold = self._users(wanted, fold)
        if not len(users):
            raise InvalidInput.at("relevance", "no held-back row counts as a hit: name the event types that do")
        as_of = fold.cut or int(fold.train.interactions.timestamps.max()) + 1
        name = f"origin {number + 1}" if fold.cut else "split"
        fitted = fit_models(fold.train, self.configs, as_of, lambda step: self.progress(f"{name}: fit {step}"))
        held = await hold_out(
            fold.train, self.configs, self.ports, as_of, fitted.content, lambda step: self.progress(f"{name}: {step}")
        )
        with tempfile.TemporaryDirectory(prefix="kindred-evaluate-") as folder:
            models = replace(trial_models(fitted, held.blend, Path(folder), self.ports.indexes), ranker=held.ranker)
            replay = await Replay.open(fold.train, models, users, self.ports, self.configs)
            self.progress(f"{name}: replay of {len(users)} users")
            ranked = await self._replayed(replay, fold, users)
        self.lists.append(self._judged(ranked, fitted, wanted.take(users), users, fold))
        self.facts.append(
            OriginFacts(
                cut=None if fold.cut is None else format_time(fold.cut),
                train_rows=len(fold.train.interactions),
                test_rows=len(fold.test.interactions),
                users=len(users),
                cold_users=cold,
                blend={name: round(weight, 4) for name, weight in held.blend.weights.items()},
                blend_learned=held.blend.learned,
                ranker=None if held.ranker is None else held.ranker.report,
            )
        )

    def _users(self, wanted: ItemSets, fold: _Fold) -> tuple[NDArray[np.int64], int]:
        """Return the users to replay, ascending, and how many had no history."""
        rows = np.bincount(fold.train.interactions.users, minlength=self.dataset.n_users)
        hungry = wanted.sizes > 0
        users = np.flatnonzero(hungry & (rows > 0))
        most = self.options.max_users
        if most is not None and len(users) > most:
            users = np.sort(np.random.default_rng(self.options.seed).choice(users, most, replace=False))
        return users, int((hungry & (rows == 0)).sum())

    async def _replayed(self, replay: Replay, fold: _Fold, users: NDArray[np.int64]) -> dict[str, list[Ordinals]]:
        """Return the lists of every system for every user, in the users' order."""
        count, exploration = self.options.count, self.configs.recommend.exploration
        now = last_times(fold.train)
        latest = int(now.max())
        variants = {name: replay.under(config) for name, config in self.variants.items()}
        systems = (FUNNEL, BLEND, EXPLORING, *variants, *replay.sources)
        found: dict[str, list[Ordinals]] = {name: [] for name in systems}
        for user in users.tolist():
            moment = fold.cut or (int(now[user]) if now[user] >= 0 else latest)
            found[FUNNEL].append(await replay.slate(user, moment, count))
            found[BLEND].append(await replay.slate(user, moment, count, disabled=(RANKER,)))
            found[EXPLORING].append(await replay.slate(user, moment, count, exploration))
            for name, variant in variants.items():
                share = variant.world.config.exploration
                found[name].append(await variant.slate(user, moment, count, share))
            proposed = await replay.propose(user, moment, count)
            for name in replay.sources:
                part = proposed.parts.get(name)
                found[name].append(np.empty(0, np.int32) if part is None else part.items[:count])
        return {name: lists for name, lists in found.items() if any(len(one) for one in lists)}

    def _judged(
        self,
        ranked: dict[str, list[Ordinals]],
        fitted: FittedModels,
        wanted: ItemSets,
        users: NDArray[np.int64],
        fold: _Fold,
    ) -> FoldLists:
        items = fold.train.interactions.items
        return FoldLists(
            ranked={name: padded(lists, self.options.count) for name, lists in ranked.items()},
            wanted=wanted,
            users=users,
            counts=np.bincount(items[items >= 0], minlength=self.dataset.n_items),
            vectors=np.asarray(fitted.content.item_vectors, np.float32),
        )


async def run_evaluation(
    dataset: Dataset,
    configs: TrainConfigs,
    ports: ReplayPorts,
    options: EvaluationConfig | None = None,
    progress: Callable[[str], None] = silent,
) -> EvaluationReport:
    """Judge the whole funnel, and each source alone, on held-back rows; nothing of the user's stores is changed.

    Everything, the blend too, is learned inside the training part; seen items are left out of lists and of what is to
    be found; every source searches the whole catalogue. Raises InvalidInput when the data cannot be split in time.
    """
    options = options or EvaluationConfig()
    started = perf_counter()
    lists, facts = await replayed_folds(dataset, configs, ports, options, progress)
    progress("intervals")
    tables = tabulated(lists, FUNNEL, int(dataset.listed().sum()), options.resamples, options.seed)
    return EvaluationReport(
        protocol=options.protocol,
        origins=facts,
        tables=tables,
        exploration=configs.recommend.exploration,
        seconds=round(perf_counter() - started, 2),
        parameters=configs.parameters(),
    )


async def replayed_folds(
    dataset: Dataset,
    configs: TrainConfigs,
    ports: ReplayPorts,
    options: EvaluationConfig,
    progress: Callable[[str], None] = silent,
    variants: Mapping[str, RecommendConfig] | None = None,
) -> tuple[list[FoldLists], list[OriginFacts]]:
    """Return the lists of all systems in each split, and what is known of the splits.

    `variants`: more systems by name, the same funnel under other settings of the request path, their exploration too.
    """
    run = _Run(dataset, configs, options, ports, progress, variants or {})
    # A replay is many small products: BLAS threads only fight over the cores.
    with threadpool_limits(limits=1, user_api="blas"):
        for number, fold in enumerate(_folds(dataset, options)):
            await run.fold(number, fold)
    return run.lists, run.facts


def first_training_part(dataset: Dataset, options: EvaluationConfig) -> Dataset:
    """Return what the first split may learn from: the rows in which settings can be chosen; raise InvalidInput."""
    return next(_folds(dataset, options)).train


def _folds(dataset: Dataset, options: EvaluationConfig) -> Iterator[_Fold]:
    """Split the timed rows; rows without time are only learned from."""
    rows = dataset.interactions
    timed = np.flatnonzero((rows.timestamps >= 0) & (rows.items >= 0))
    if len(timed) < 2:
        raise InvalidInput.at(
            "interactions", "none has a time, so nothing can be held back in time: import a source with timestamps"
        )
    users, items, times = rows.users[timed], rows.items[timed], rows.timestamps[timed]
    if options.protocol == "per-user":
        splits = [per_user_temporal(users, items, times, share=options.share)]
    else:
        span = int(times.max() - times.min())
        horizon = round(options.horizon * 1000) if options.horizon else max(span // _SHARE_OF_SPAN, DAY)
        splits = rolling_origins(users, items, times, horizon=horizon, origins=options.origins)
    for split in splits:
        train = rows.timestamps < 0
        train[timed[split.train]] = True
        yield _Fold(dataset.with_rows(train), dataset.with_rows(timed[split.test]), split.cut)

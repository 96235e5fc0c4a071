"""Examples as they stood in time: what the funnel proposed at past moments, its features then, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Floats, Mask, Ordinals
from kindred.core.query import Context
from kindred.models.ranker import RankerSchema
from kindred.recommend.model_set import ModelSet
from kindred.recommend.ranking import CATEGORIES, funnel_columns, matrix
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.ranking.moments import After, Moments, Outcomes, moments_of
from kindred.training.replay import Replay, ReplayPorts
from kindred.training.row_contexts import RowContexts

_MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class RankingExamples:
    """Candidates of q past requests, n in all, one request after the other.

    `columns (n, f) float32` in the schema's order; `requests (n,) int32`: which request, ascending; `items (n,)`;
    `blend (n,) float32`: the score that the blend gave; `labels (n, e) bool`: which of `events` followed within the
    horizon, `weights (n,) float32`: how much that counts; `relevant (n,) bool`: the item counts as a hit. Of requests:
    `users (q,)`, `moments (q,)` ms, `wanted (q,)` how many hits there were to find, among the candidates or not.
    """

    schema: RankerSchema
    events: tuple[str, ...]
    columns: Floats
    requests: Ordinals
    items: Ordinals
    blend: Floats
    labels: Mask
    weights: Floats
    relevant: Mask
    users: NDArray[np.int64]
    moments: NDArray[np.int64]
    wanted: NDArray[np.int64]

    def __len__(self) -> int:
        """Return n."""
        return len(self.items)

    def fruitful(self) -> Mask:
        """Return which requests led to something (q,)."""
        happened: Mask = np.bincount(self.requests, self.labels.any(axis=1), len(self.users)) > 0
        return happened

    def take(self, rows: Mask | NDArray[np.intp]) -> Self:
        """Return some of the candidates, in their order; requests keep their numbers."""
        return replace(
            self,
            columns=self.columns[rows],
            requests=self.requests[rows],
            items=self.items[rows],
            blend=self.blend[rows],
            labels=self.labels[rows],
            weights=self.weights[rows],
            relevant=self.relevant[rows],
        )


@dataclass(slots=True)
class _Draft:
    """Examples while requests are made again; names are numbered when all are known."""

    requests: list[tuple[Candidates, Mapping[str, Floats], Mapping[str, float | str]]] = field(default_factory=list)
    after: list[After] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)

    def finished(self, events: tuple[str, ...]) -> RankingExamples:
        """Put everything into columns."""
        schema = _schema(self.requests)
        sizes = [len(candidates) for candidates, _, _ in self.requests]
        columns = np.empty((sum(sizes), len(schema.columns)), np.float32)
        start = 0
        for candidates, funnel, request in self.requests:
            columns[start : start + len(candidates)] = matrix(schema, candidates, funnel, request)
            start += len(candidates)
        return RankingExamples(
            schema=schema,
            events=events,
            columns=columns,
            requests=np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
            items=np.concatenate([candidates.items for candidates, _, _ in self.requests]),
            blend=np.concatenate([candidates.column("score", 0.0) for candidates, _, _ in self.requests]),
            labels=np.concatenate([one.labels for one in self.after]),
            weights=np.concatenate([one.weights for one in self.after]),
            relevant=np.concatenate([one.relevant for one in self.after]),
            users=np.array(self.users, np.int64),
            moments=np.array(self.moments, np.int64),
            wanted=np.array(self.wanted, np.int64),
        )


async def make_examples(
    dataset: Dataset,
    future: Dataset,
    models: ModelSet,
    ports: ReplayPorts,
    configs: TrainConfigs,
) -> RankingExamples | None:
    """Make the requests again that users of `future` may have made right before their visits; None for too few users.

    `dataset`: all rows, those of `future` too. `models` were fitted on none of the rows of `future`. Everything but
    them is as of each request's moment: a user's record and the items' hold the rows before it and no other.
    """
    config = configs.ranker
    outcomes = Outcomes(future.interactions, configs.relevance, config.value, dataset.examined)
    draft = _Draft()
    for number in range(config.moments):
        found = moments_of(future.interactions, configs.fold.session_gap, number, config.users, configs.training.seed)
        if len(found.users):
            replay = await Replay.open(dataset, models, found.users, ports, configs, found.times)
            await _ask(replay, found, future.contexts, outcomes, round(config.horizon * 1_000), draft)
    enough = len(set(draft.users)) >= config.min_users and outcomes.events
    return draft.finished(outcomes.events) if enough else None


async def _ask(
    replay: Replay, moments: Moments, contexts: RowContexts | None, outcomes: Outcomes, horizon: int, draft: _Draft
) -> None:
    """Make requests again, in order of time; those after which nobody wanted anything new teach nothing."""
    for place in np.argsort(moments.times, kind="stable").tolist():
        user, moment = int(moments.users[place]), int(moments.times[place])
        context = Context(time=moment) if contexts is None else contexts.at(int(moments.rows[place]), moment)
        query, candidates = await replay.ranked(user, context)
        after = outcomes.after(user, moment, horizon, candidates.items)
        wanted = after.wanted[~np.isin(after.wanted, query.facts.seen)]
        if not len(candidates) or not len(wanted):
            continue
        draft.requests.append((_slim(candidates), funnel_columns(candidates), query.scratch["request"]))
        draft.after.append(after)
        draft.users.append(user)
        draft.moments.append(moment)
        draft.wanted.append(len(wanted))


def _slim(candidates: Candidates) -> Candidates:
    """Keep the columns that features are made of."""
    kept = {
        name: column
        for name, column in candidates.columns.items()
        if name.startswith(("item.", "pair.")) or name == "score"
    }
    return Candidates(candidates.items, kept)


def _schema(requests: list[tuple[Candidates, Mapping[str, Floats], Mapping[str, float | str]]]) -> RankerSchema:
    """Name the columns that say anything, and number the names that requests bore, the commonest first."""
    names: dict[str, None] = {}
    counts: dict[str, dict[str, int]] = {name: {} for name in CATEGORIES}
    for candidates, funnel, request in requests:
        names |= dict.fromkeys((*funnel, *(name for name in candidates.columns if name != "score"), *request))
        for name in CATEGORIES:
            value = str(request[name])
            counts[name][value] = counts[name].get(value, 0) + 1
    categories = {
        name: tuple(sorted(found, key=lambda one: (-found[one], one))[:_MOST_NAMES]) for name, found in counts.items()
    }
    return RankerSchema(tuple(sorted(names)), categories)

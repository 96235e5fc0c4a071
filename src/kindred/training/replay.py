"""Replay: the funnel that serves, run over past users with their state as it stood."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.item import CatalogItem
from kindred.core.position import Position
from kindred.core.query import Context, Filters, Params, Query
from kindred.core.rng import seed_of
from kindred.features.bulk import bulk_users
from kindred.features.groups import FoldConfig, user_key
from kindred.features.history import HistoryRows
from kindred.features.users import encode_user
from kindred.models.preference import Interactions
from kindred.models.trending import TrendingConfig
from kindred.pipeline.funnel import Deadlines, Funnel
from kindred.pipeline.runner import Runner
from kindred.pipeline.stages import FailPolicy
from kindred.ports.catalog import CatalogStore
from kindred.ports.state import StateRecord, StateStore, StateWrite
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.config import RecommendConfig
from kindred.recommend.filters.rules import allowed
from kindred.recommend.funnels import build_funnel
from kindred.recommend.hydrators.features import CandidateFeatures
from kindred.recommend.hydrators.user import UserState
from kindred.recommend.item_table import ItemTable
from kindred.recommend.model_set import RANKER, ModelSet
from kindred.recommend.side import ContentSide
from kindred.recommend.world import TrendBoard, World
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.item_clock import ItemClock
from kindred.training.replay_state import ReplayState
from kindred.training.trend_clock import TrendClock

FOLDED = Position(0, 0, 0)
_BATCH = 2_000
# A replay is never late: what a deadline cuts off would depend on the machine.
_PATIENT = Deadlines(facts=1e9, sources=1e9, features=1e9, effects=1e9)


@dataclass(frozen=True, slots=True)
class ReplayPorts:
    """What a replay needs from outside: the catalogue to read, and how indexes are built."""

    catalog: CatalogStore
    indexes: VectorIndexes


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the sources proposed to a user: `parts` by source, each best first; `query` with its facts filled."""

    query: Query
    parts: dict[str, Candidates]


class Replay:
    """One set of models over the state of some users, both from the same training rows."""

    def __init__(self, world: World, dataset: Dataset, trends: TrendClock, items: ItemClock | None = None) -> None:
        """Take over a world whose state is filled; `items` is the clock of its items' records."""
        self.world = world
        self._dataset = dataset
        self._trends = trends
        self._items = items
        # Explanations change no order, and effects belong to real requests.
        self._funnel: Funnel = replace(build_funnel(world, deadlines=_PATIENT), explainer=None)
        self._runner = Runner()

    @classmethod
    async def open(
        cls,
        dataset: Dataset,
        models: ModelSet,
        users: NDArray[np.integer],
        ports: ReplayPorts,
        configs: TrainConfigs,
        until: NDArray[np.int64] | None = None,
    ) -> "Replay":
        """Fold the rows of `users` into an empty state and lay the models over it.

        `until (u,)`: each user's last moment (ms) of which the state knows, in the order of `users`; all rows without.
        """
        items = ItemClock(dataset.interactions, configs.fold)
        state = ReplayState(items)
        await fill_state(state, dataset, users, configs.fold, until)
        table = ItemTable.of(map(_since_created, dataset.changes()))
        world = World(
            models=models,
            table=table,
            side=ContentSide(models.content.dimensions),
            trends=TrendBoard(),
            state=state,
            catalog=ports.catalog,
            config=configs.recommend,
            preference=configs.preference,
        )
        return cls(world, dataset, TrendClock(dataset.interactions, dataset.n_items, configs.trending), items)

    def under(self, config: RecommendConfig) -> "Replay":
        """Return a replay of the same models and state under other settings of the request path."""
        return Replay(replace(self.world, config=config), self._dataset, self._trends, self._items)

    def trending_by(self, rows: Interactions, config: TrendingConfig) -> "Replay":
        """Return a replay of the same models and state in which other rows make the trends."""
        return Replay(self.world, self._dataset, TrendClock(rows, self._dataset.n_items, config), self._items)

    @property
    def sources(self) -> list[str]:
        """Return the names of the sources, fallbacks left out."""
        return [source.name for source in self._funnel.sources]

    async def slate(
        self,
        user: int,
        now: int,
        count: int,
        exploration: float = 0.0,
        excluded: tuple[int, ...] = (),
        disabled: tuple[str, ...] = (),
    ) -> Ordinals:
        """Return the slate (≤ count,) int32 that the whole funnel makes for a user at `now` (ms).

        `excluded`: ordinals that must not be in it. `disabled`: names of stages that do not run.
        """
        query = self._query(user, now, count, exploration)
        query.params = msgspec.structs.replace(query.params, disabled=disabled)
        if excluded:
            query.filters = Filters(exclude_items=excluded)
        slate = await self._runner.run(self._funnel, query)
        return slate.candidates.items

    async def propose(self, user: int, now: int, count: int) -> Proposed:
        """Return what each source alone proposes to a user at `now` (ms)."""
        query = self._query(user, now, count, 0.0)
        known = await UserState(self.world).hydrate(query)
        query.facts = known["facts"]
        query.scratch.update((name, value) for name, value in known.items() if name != "facts")
        parts = {one.name: await one.propose(query) for one in self._funnel.sources if one.enabled(query)}
        return Proposed(query, parts)

    def scored(self, proposed: Proposed) -> Candidates:
        """Return the merged and allowed candidates with every model's column, as they enter the blend."""
        query = proposed.query
        merged = Candidates.merge(list(proposed.parts.values()), range(len(proposed.parts)))
        best = np.lexsort((merged.items, merged.column("best_rank")))[: query.params.candidates]
        merged = merged.take(best)
        merged = merged.take(allowed(self.world, query).has(merged.items))
        return merged.with_columns(self._funnel.coarse[0].score(query, merged))

    async def ranked(self, user: int, context: Context) -> tuple[Query, Candidates]:
        """Return a request of `context`, on its page's placement, and its candidates with all columns up to the blend's
        score.
        """
        query = replace(self._query(user, context.time, 1, 0.0), context=context, placement=context.page)
        kept = Kept()
        fine = [stage for stage in self._funnel.fine if stage.name != RANKER]
        hydrators = [CandidateFeatures(self.world, every=True)]
        funnel = replace(self._funnel, hydrators=hydrators, fine=[*fine, kept], filters=(), rerankers=(), draws=None)
        await self._runner.run(funnel, query)
        return query, kept.candidates

    def _query(self, user: int, now: int, count: int, exploration: float) -> Query:
        lists = self._trends.at(now)
        if self._items is not None:
            self._items.at(now)
        if lists is not self.world.trends.lists:
            self.world.trends.replace(lists)
        return Query(
            user_id=self._dataset.user_ids[user],
            request_id=f"replay_{user}",
            context=Context(time=now),
            count=count,
            params=replay_params(self.world.config, exploration),
            seed=seed_of("replay", user),
        )


def replay_params(config: RecommendConfig, exploration: float) -> Params:
    """Return the params that a request without wishes of its own gets, with another exploration."""
    return Params(
        candidates=config.candidates,
        ranked=config.ranked,
        diversity=config.diversity,
        reranker=config.reranker,
        category_cap=config.category_cap,
        creator_spacing=config.creator_spacing,
        exploration=exploration,
    )


@dataclass(slots=True)
class Kept:
    """A last fine stage that keeps the candidates as they come to it."""

    candidates: Candidates = field(default_factory=Candidates.empty)
    name: str = "kept"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def score(self, query: Query, candidates: Candidates) -> dict[str, Floats]:
        """Keep them and add nothing."""
        self.candidates = candidates
        return {}


async def fill_state(
    state: StateStore,
    dataset: Dataset,
    users: NDArray[np.integer],
    config: FoldConfig,
    until: NDArray[np.int64] | None = None,
) -> None:
    """Fold the rows of `users (u,)`, up to the moments `until (u,)`, by the same bulk fold that imports use."""
    rows = dataset.interactions
    last = np.full(dataset.n_users, -2, np.int64)
    last[users] = np.iinfo(np.int64).max if until is None else until
    kept = np.flatnonzero((rows.timestamps <= last[rows.users]) & (rows.items >= 0))
    await fold_rows(state, dataset, np.unique(users), rows.take(kept), config)


async def fold_rows(
    state: StateStore, dataset: Dataset, users: NDArray[np.integer], rows: Interactions, config: FoldConfig
) -> None:
    """Put in place the records that `rows`, all of `users (u,)` (ascending) and of known items, make."""
    rows = rows.take(np.argsort(rows.users, kind="stable"))
    starts = np.append(np.searchsorted(rows.users, users), len(rows)).astype(np.int64)
    history = HistoryRows(rows.items, rows.timestamps, rows.event_types.astype(np.uint8), rows.values, rows.names)
    ids = [dataset.user_ids[user] for user in users.tolist()]
    profiles = [dataset.profiles[user] for user in users.tolist()]
    records = bulk_users(history, starts, profiles, config)
    writes = [
        StateWrite(user_key(user_id), StateRecord(FOLDED, encode_user(record)))
        for user_id, record in zip(ids, records, strict=True)
    ]
    for first in range(0, len(writes), _BATCH):
        await state.write(writes[first : first + _BATCH], FOLDED)


def padded(lists: Sequence[Ordinals], count: int) -> NDArray[np.int32]:
    """Return ranked lists as (u, count) int32, cut or filled with -1."""
    out = np.full((len(lists), count), -1, np.int32)
    for row, items in enumerate(lists):
        out[row, : min(count, len(items))] = items[:count]
    return out


def _since_created(change: CatalogItem) -> CatalogItem:
    """Keep an item out of the past before it was created: today's catalogue knows what was yet to come."""
    item = change.item
    opens = max(item.available_from or 0, item.created or 0)
    return msgspec.structs.replace(change, item=msgspec.structs.replace(item, available_from=opens or None))

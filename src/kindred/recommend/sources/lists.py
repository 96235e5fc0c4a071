"""Sources that are the same for everyone: popular, trending, new."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kindred.core.bits import Bits
from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query
from kindred.models.new_items import novelty_scores
from kindred.models.popularity import PopularityModel
from kindred.pipeline.stages import FailPolicy
from kindred.pipeline.wave import DETAIL
from kindred.recommend.filters.rules import allowed, shared
from kindred.recommend.items.masks import KeptMask
from kindred.recommend.rerankers.constraints import CappedRoom
from kindred.recommend.taste import content_profile, segments_of, trend
from kindred.recommend.world import World

FURTHER = 16
"""How many times as many items are looked at where the newest fill no slate under its caps."""
NEW_DEPTH = 100
MOST_SEGMENTS = 128
"""Combinations of segments whose lists are kept."""
NEWEST = 400
"""How many of the newest are compared with the user's taste."""


def proposal(name: str, items: Ordinals, scores: Floats, depth: int | None = None) -> Candidates:
    """Return candidates best first, ties by ordinal, with the source's own score in column `raw.<name>`."""
    if depth is not None and len(items) > depth:
        # Sorting thousands of neighbours costs more than finding the last that stays.
        kept = scores >= np.partition(scores, len(scores) - depth)[len(scores) - depth]
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -scores))[:depth]
    return ranked(name, items[order], scores[order])


def ranked(name: str, items: Ordinals, scores: Floats) -> Candidates:
    """Return candidates that stand best first already, with the source's own score in column `raw.<name>`."""
    return Candidates(items.astype(np.int32, copy=False), {f"raw.{name}": scores.astype(np.float32, copy=False)})


def popular_allowed(world: World, model: PopularityModel, filters: KeptMask, mask: Bits, k: int) -> Ordinals:
    """Return the k ordinals of `mask` that are most popular, best first, ties by ordinal; unused ones never.

    `filters`: what is the same for others who ask so; `mask` may leave out more.
    """
    top = model.top_items
    items = top[mask.has(top)][:k]
    # The bundle's own list is enough unless the request allows little of it.
    if len(items) == k or len(top) < model.config.top:
        return items
    best = world.popular.best(model, filters)
    return best[mask.has(best)][:k]


@dataclass(frozen=True, slots=True)
class PopularSource:
    """The most popular of what the request allows."""

    world: World
    name: str = "popular"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items by popularity."""
        return _popular(self.name, self.world.models.popularity, self.world, query)


@dataclass(frozen=True, slots=True)
class CountrySource:
    """The most popular among users of the asker's country."""

    world: World
    name: str = "country"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether the country is known and has a list."""
        return country_of(query) in self.world.models.countries

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items by their popularity in the country."""
        _say(query, self.name, country=country_of(query))
        return _popular(self.name, self.world.models.countries[country_of(query)], self.world, query)


@dataclass(frozen=True, slots=True)
class SegmentSource:
    """What users of the asker's device, age or other traits like, relative to everyone."""

    world: World
    name: str = "segment"
    policy: FailPolicy = FailPolicy.OPEN
    kept: dict[tuple[str, ...], tuple[Ordinals, Floats]] = field(default_factory=dict)

    def enabled(self, query: Query) -> bool:
        """Say whether anything is known of a segment of the user's."""
        return bool(segments_of(self.world, query))

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items by popularity times the lifts of the user's segments."""
        segments = segments_of(self.world, query)
        _say(query, self.name, segments=list(segments))
        items, scores = self._best(segments)
        rows = np.flatnonzero(allowed(self.world, query).has(items))[: self.world.config.source_depth]
        return ranked(self.name, items[rows], scores[rows])

    def _best(self, segments: tuple[str, ...]) -> tuple[Ordinals, Floats]:
        """Return what users of all these segments like, best first, and how much: the same for everyone in them."""
        found = self.kept.get(segments)
        if found is None:
            models = self.world.models
            items = models.segments.listed(segments)
            scores = models.popularity.score_candidates(items) * models.segments.lifts(segments, items)
            order = np.lexsort((items, -scores))[: np.count_nonzero(scores > 0)]
            while len(self.kept) >= MOST_SEGMENTS:
                del self.kept[next(iter(self.kept))]
            found = self.kept[segments] = items[order], scores[order]
        return found


@dataclass(frozen=True, slots=True)
class TrendingSource:
    """What rises now, in the last day, else the last week, else the last hour."""

    world: World
    name: str = "trending"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether anything trends."""
        return len(trend(self.world, query).items) > 0

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items by trend score."""
        found = trend(self.world, query)
        items, scores = found.items, found.scores
        kept = allowed(self.world, query).has(items) & (scores > 0)
        return proposal(self.name, items[kept], scores[kept], self.world.config.source_depth)


@dataclass(frozen=True, slots=True)
class SeasonSource:
    """What past years say is due in these weeks, however long it was silent."""

    world: World
    name: str = "season"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether seasons count at all."""
        return self.world.config.season > 0

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items by how far their month stands out."""
        items, scores = self.world.models.season.due(query.context.time)
        kept = allowed(self.world, query).has(items)
        return proposal(self.name, items[kept], scores[kept], self.world.config.source_depth)


@dataclass(frozen=True, slots=True)
class NewItemsSource:
    """What was created lately and has few users yet, the newest and nearest to the user's taste first.

    Of very many the newest alone are compared with the taste.
    """

    world: World
    name: str = "new"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether any age counts as new."""
        return self.world.config.new_item_days > 0

    async def propose(self, query: Query) -> Candidates:
        """Return allowed new items."""
        now, mask = query.context.time, allowed(self.world, query)
        first, present = map(self.world.new_until, (now, query.received))
        items, created = self.world.newcomers.allowed(mask, first, now, NEWEST, present)
        near = self.world.content_vectors(items) @ content_profile(self.world, query)
        fresh = novelty_scores(created, now, self.world.config.new_item_days * 86_400)
        return proposal(self.name, items, fresh * (1 + np.maximum(near, 0)), NEW_DEPTH)


@dataclass(frozen=True, slots=True)
class AnythingSource:
    """Everything that is allowed, the least known last: asked only when the others leave a slate short."""

    world: World
    name: str = "catalogue"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items, newest in the catalogue first; before all others those that fill one slate."""
        mask, k, room = allowed(self.world, query), query.params.candidates, CappedRoom(self.world)
        rows = mask.last(k)
        fitting = room.fitting(query, rows, query.count)
        if len(fitting) < query.count and len(rows) < mask.count:
            # The newest may all be of one category. No request looks at all there is, so not for ever.
            rows = mask.last(k * FURTHER)
            fitting = room.fitting(query, rows, query.count)
        rows = np.concatenate([rows[fitting], np.delete(rows, fitting)])[:k]
        return ranked(self.name, rows, np.linspace(1, 0, len(rows), dtype=np.float32))


def country_of(query: Query) -> str:
    """Return the asker's country: where the request comes from, else what the profile says, else nothing."""
    profile = query.facts.profile
    return query.context.country or (profile.country or "" if profile else "").upper()


def _say(query: Query, stage: str, **said: Any) -> None:
    """Leave for the trace what a source went by."""
    if query.want_trace:
        query.scratch.setdefault(DETAIL, {})[stage] = said


def _popular(name: str, model: PopularityModel, world: World, query: Query) -> Candidates:
    items = popular_allowed(world, model, shared(world, query), allowed(world, query), world.config.source_depth)
    return proposal(name, items, model.scores[items])

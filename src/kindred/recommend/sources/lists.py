"""Sources that are the same for everyone: popular, trending, new."""

from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query
from kindred.models.new_items import novelty_scores
from kindred.models.popularity import PopularityModel
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.filters.rules import allowed
from kindred.recommend.taste import content_profile
from kindred.recommend.world import World

WINDOWS = ("24h", "7d", "1h")


def proposal(name: str, items: Ordinals, scores: Floats, depth: int | None = None) -> Candidates:
    """Return candidates best first, ties by ordinal, with the source's own score in column `raw.<name>`."""
    order = np.lexsort((items, -scores))[:depth]
    return Candidates(items[order].astype(np.int32), {f"raw.{name}": scores[order].astype(np.float32)})


def best_allowed(scores: Floats, mask: np.ndarray[tuple[int], np.dtype[np.bool_]], k: int) -> Ordinals:
    """Return the k allowed ordinals with the highest scores, zeros too, best first, ties by ordinal."""
    rows = np.flatnonzero(mask[: len(scores)])
    values = scores[rows]
    if len(rows) > k:
        least = np.partition(values, len(values) - k)[len(values) - k]
        rows, values = rows[values >= least], values[values >= least]
    return rows[np.lexsort((rows, -values))][:k].astype(np.int32)


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
        return _popular(self.name, self.world.models.countries[country_of(query)], self.world, query)


@dataclass(frozen=True, slots=True)
class TrendingSource:
    """What rises now, in the shortest window that has enough of it."""

    world: World
    name: str = "trending"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether anything trends."""
        return any(len(self.world.trends.top(window)[0]) for window in WINDOWS)

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items by trend score."""
        window = trend_window(self.world)
        items, scores = self.world.trends.top(window)
        kept = allowed_rows(items, allowed(self.world, query)) & (scores > 0)
        return proposal(self.name, items[kept], scores[kept], self.world.config.source_depth)


@dataclass(frozen=True, slots=True)
class NewItemsSource:
    """What was created lately and has few users yet, the nearest to the user's taste first."""

    world: World
    name: str = "new"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def propose(self, query: Query) -> Candidates:
        """Return allowed new items."""
        table, now = self.world.table, query.context.time
        rows = np.flatnonzero((table.created >= self.world.new_until(now)) & (table.created <= now))
        items = rows[allowed(self.world, query)[rows]].astype(np.int32)
        items = items[self.world.evidence(items) < self.world.config.new_item_interactions]
        near = self.world.content_vectors(items) @ content_profile(self.world, query)
        window = self.world.config.new_item_days * 86_400
        fresh = novelty_scores(table.created[items], now, window)
        return proposal(self.name, items, fresh * (1 + np.maximum(near, 0)), 100)


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
        """Return allowed items, newest in the catalogue first."""
        rows = np.flatnonzero(allowed(self.world, query))[::-1][: query.params.candidates]
        return proposal(self.name, rows.astype(np.int32), np.linspace(1, 0, len(rows), dtype=np.float32))


def country_of(query: Query) -> str:
    """Return the asker's country: where the request comes from, else what the profile says, else nothing."""
    profile = query.facts.profile
    return query.context.country or (profile.country or "" if profile else "").upper()


def trend_window(world: World) -> str:
    """Return the first window, of a day, a week, an hour, in which anything trends."""
    return next((window for window in WINDOWS if len(world.trends.top(window)[0])), WINDOWS[0])


def allowed_rows(
    items: Ordinals, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which items (n,) a mask over the catalogue allows; items beyond it are not."""
    inside = items < len(mask)
    found = np.zeros(len(items), np.bool_)
    found[inside] = mask[items[inside]]
    return found


def _popular(name: str, model: PopularityModel, world: World, query: Query) -> Candidates:
    items = best_allowed(model.scores, allowed(world, query), world.config.source_depth)
    items = items[model.scores[items] > 0]
    return proposal(name, items, model.scores[items])

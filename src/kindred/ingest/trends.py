"""Live trending: scores of active items, kept current as their records change and as time goes by."""

import asyncio
from collections.abc import Callable, Mapping

import numpy as np

from kindred.core.clock import DAY
from kindred.core.config import Config
from kindred.core.position import Position
from kindred.features.activity import active_entries
from kindred.features.country_trends import (
    PARTITIONS,
    country_trends_key,
    encode_country_trends,
    window_trends_key,
)
from kindred.features.groups import ITEM, ITEM_COUNTRY
from kindred.features.item_blocks import read_blocks
from kindred.features.item_counters import ACTIVE_DAYS
from kindred.features.item_countries import decode_country
from kindred.features.items import decode_item
from kindred.features.trending_list import TrendingList, encode_trending
from kindred.ingest.trend_scores import TrendScores
from kindred.models.trending import WINDOWS, TrendingConfig
from kindred.ports.catalog import CatalogStore
from kindred.ports.state import StateRecord, StateStore, StateWrite

_PATIENCE = 0.5
_ORDINALS_AT_ONCE = 500
_RECORDS_AT_ONCE = 500


class TrendsConfig(Config, frozen=True, kw_only=True):
    """How trending lists are written.

    `every`: seconds between two writes while events come in. `listed`: items in each list. `per_category`: the best of
    each category that are listed in any case, by items' primary category. `per_country`: items in the list of a
    country. `refresh`: seconds after which every item is scored again, since windows empty with time.
    """

    every: float = 1.0
    listed: int = 5_000
    per_category: int = 100
    per_country: int = 500
    refresh: float = 300.0


class TrendBoard:
    """The activity of the items of one partition, in all and by country, and their scores in every window.

    Only items with activity in the last 32 days are held. Between two refreshes only changed items are scored again.
    """

    def __init__(
        self,
        config: TrendsConfig | None = None,
        trending: TrendingConfig | None = None,
        catalog: CatalogStore | None = None,
        partition: int = 0,
        partitions: int = 1,
        mine: Callable[[int], bool] = lambda ordinal: True,
    ) -> None:
        """Start empty; `mine` says which ordinals belong to `partition` of `partitions`, `catalog` their categories."""
        self._config = config or TrendsConfig()
        trending = trending or TrendingConfig()
        self._items: TrendScores[int] = TrendScores(trending)
        self._local: TrendScores[tuple[int, str]] = TrendScores(trending)
        self._catalog, self._partition, self._partitions, self._mine = catalog, partition, partitions, mine
        self._categories: dict[int, str | None] = {}
        self._written = self._refreshed = self._last = 0
        self._loading: asyncio.Task[None] | None = None
        self._patience = _PATIENCE

    def begin(self, state: StateStore) -> None:
        """Begin to read every item's record, after a start; lists are written once that is done."""
        self._loading = asyncio.create_task(self.load(state))

    def close(self) -> None:
        """Stop reading."""
        if self._loading is not None:
            self._loading.cancel()

    async def load(self, state: StateStore) -> None:
        """Read every item's record; what a fold has changed since is newer and stays."""
        lists = await state.read([window_trends_key(window, self._partition) for window in WINDOWS])
        self._last = max((record.position.offset for record in lists.records if record is not None), default=0)
        read: dict[int, bytes] = {}
        async for key, record in state.scan(ITEM):
            if key.isdigit() and self._mine(int(key)):
                read[int(key)] = decode_item(record.value).cells
                if len(read) == _RECORDS_AT_ONCE:
                    self._note_read(read)
                    read = {}
        self._note_read(read)
        async for key, record in state.scan(ITEM_COUNTRY):
            ordinal, _, country = key.partition("/")
            if ordinal.isdigit() and country and self._mine(int(ordinal)):
                self._local.note((int(ordinal), country), decode_country(record.value).counters, newer=False)

    def _note_read(self, cells: Mapping[int, bytes]) -> None:
        """Take over the activity in blocks that were read, by ordinal."""
        for ordinal, active in zip(cells, active_entries(read_blocks(list(cells.values()))), strict=True):
            self._items.note(ordinal, active, newer=False)

    def update(self, items: Mapping[int, bytes], countries: Mapping[tuple[int, str], bytes] | None = None) -> None:
        """Take over changed activity, as entries, by ordinal, and by ordinal and country."""
        for ordinal, active in items.items():
            self._items.note(ordinal, active)
        for where, active in (countries or {}).items():
            self._local.note(where, active)

    def due(self, now: int) -> bool:
        """Say whether changes wait to be written and the last write is long enough ago, or time alone asks for one."""
        changed = self._items.changed or self._local.changed
        return _over(self._written, now, self._config.every) and bool(changed or self._stale(now))

    def _stale(self, now: int) -> bool:
        return bool(self._refreshed) and _over(self._refreshed, now, self._config.refresh)

    async def writes_if_due(self, now: int) -> list[StateWrite]:
        """Return the records of all lists where they are due, made beside the event loop."""
        if not await self._loaded() or not self.due(now):
            return []
        await asyncio.to_thread(self._score, now)
        await self._learn_categories()
        return await asyncio.to_thread(self._records, now)

    async def _loaded(self) -> bool:
        """Say whether the records are read, and raise what broke it; the first time, wait a moment for them."""
        if self._loading is None:
            return True
        patience, self._patience = self._patience, 0.0
        done, _ = await asyncio.wait({self._loading}, timeout=patience)
        if not done:
            return False
        task, self._loading = self._loading, None
        task.result()
        return True

    def _score(self, now: int) -> None:
        """Score what changed, and everything where that is due."""
        if _over(self._refreshed, now, self._config.refresh):
            oldest = now // DAY - ACTIVE_DAYS
            for scores in (self._items, self._local):
                scores.expire(oldest)
            self._refreshed = now
            self._categories.clear()
        self._items.score(now)
        self._local.score(now)
        self._written = now

    async def _learn_categories(self) -> None:
        """Look up the primary category of items that trend."""
        if self._catalog is None:
            return
        unknown = [ordinal for ordinal in self._items.trending() if ordinal not in self._categories]
        for start in range(0, len(unknown), _ORDINALS_AT_ONCE):
            part = unknown[start : start + _ORDINALS_AT_ONCE]
            for ordinal, found in zip(part, await self._catalog.by_ordinals(part), strict=True):
                self._categories[ordinal] = None if found is None else found.item.category

    def _records(self, now: int) -> list[StateWrite]:
        """Return the record of every list as of `now` (ms).

        Their position is the time, not a place in the log, since a list changes without any event; where the clock
        was set back, or that of an owner before was ahead, they go on behind what stands.
        """
        self._last = max(self._last + 1, now)
        position = Position(0, 0, self._last)
        writes = []
        for window in WINDOWS:
            best = self._top(window, now)
            countries = self._countries(window, now)
            writes += [
                (window_trends_key(window, self._partition), encode_trending(best)),
                (country_trends_key(window, self._partition), encode_country_trends(now, countries)),
            ]
        if self._partition == 0:
            writes.append((PARTITIONS, str(self._partitions).encode()))
        return [StateWrite(key, StateRecord(position, value)) for key, value in writes]

    def _top(self, window: str, now: int) -> TrendingList:
        """Return the best of a window with the best of every category, ties by ordinal."""
        items, scores = self._items.columns(window)
        ordinals = np.array(items, np.int32)
        order = np.lexsort((ordinals, -scores))
        chosen = order[: self._config.listed]
        if len(order) > self._config.listed:
            chosen = np.concatenate([chosen, self._best_of_categories(ordinals, order)])
            chosen = order[np.isin(order, chosen)]
        return TrendingList.of(now, ordinals[chosen], scores[chosen])

    def _best_of_categories(self, ordinals: np.ndarray, order: np.ndarray) -> np.ndarray:
        taken: dict[str, int] = {}
        found = []
        for row in order.tolist():
            category = self._categories.get(int(ordinals[row]))
            if category is not None and taken.get(category, 0) < self._config.per_category:
                taken[category] = taken.get(category, 0) + 1
                found.append(row)
        return np.array(found, np.int64)

    def _countries(self, window: str, now: int) -> dict[str, TrendingList]:
        """Return the best of a window in each country."""
        where, scores = self._local.columns(window)
        rows: dict[str, list[int]] = {}
        for row, (_, country) in enumerate(where):
            rows.setdefault(country, []).append(row)
        found = {}
        for country, chosen in rows.items():
            ordinals = np.array([where[row][0] for row in chosen], np.int32)
            values = scores[chosen]
            best = np.lexsort((ordinals, -values))[: self._config.per_country]
            found[country] = TrendingList.of(now, ordinals[best], values[best])
        return found


def _over(since: int, now: int, seconds: float) -> bool:
    """Say whether so many seconds have gone by since a time (ms), or the clock was set back behind it."""
    return not 0 <= now - since < seconds * 1000

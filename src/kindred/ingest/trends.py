"""Live trending: scores of active items, kept current as their records change."""

from collections.abc import Iterable, Mapping

import numpy as np

from kindred.core.clock import DAY
from kindred.core.config import Config
from kindred.core.position import Position
from kindred.features.activity import activity
from kindred.features.buckets import DAYS
from kindred.features.groups import ITEM, trending_key
from kindred.features.items import ItemRecord, decode_item
from kindred.features.trending_list import TrendingList, encode_trending
from kindred.models.trending import WINDOWS, TrendingConfig, trending_scores
from kindred.ports.state import StateRecord, StateStore, StateWrite


class TrendsConfig(Config, frozen=True, kw_only=True):
    """How trending lists are written.

    `every`: seconds between two writes while events come in. `listed`: items in each list. `refresh`: seconds after
    which every item is scored again, since windows empty with time.
    """

    every: float = 1.0
    listed: int = 5_000
    refresh: float = 600.0


class TrendBoard:
    """The activity of items and their scores in every window.

    Only items with activity in the last 32 days are held. Between two refreshes only changed items are scored again.
    """

    def __init__(self, config: TrendsConfig | None = None, trending: TrendingConfig | None = None) -> None:
        """Start empty."""
        self._config = config or TrendsConfig()
        self._trending = trending or TrendingConfig()
        self._records: dict[int, ItemRecord] = {}
        self._scores: dict[str, dict[int, float]] = {window: {} for window in WINDOWS}
        self._changed: set[int] = set()
        self._written = self._refreshed = 0

    async def load(self, state: StateStore) -> None:
        """Read every item's record, after a start."""
        async for key, record in state.scan(ITEM):
            if key.isdigit():
                self._note(int(key), decode_item(record.value))

    def update(self, records: Mapping[int, ItemRecord]) -> None:
        """Take over changed records by ordinal."""
        for ordinal, record in records.items():
            self._note(ordinal, record)

    def _note(self, ordinal: int, record: ItemRecord) -> None:
        """Remember an item that has activity to be scored."""
        if record.days:
            self._records[ordinal] = record
            self._changed.add(ordinal)

    def due(self, now: int) -> bool:
        """Say whether changes wait to be written and the last write is long enough ago."""
        return bool(self._changed) and now - self._written >= self._config.every * 1000

    def writes(self, now: int, position: Position) -> list[StateWrite]:
        """Score what changed and return the record of every window, at `position`, as of `now` (ms)."""
        if now - self._refreshed >= self._config.refresh * 1000:
            self._expire(now)
            self._changed = set(self._records)
            self._refreshed = now
        self._score(sorted(self._changed), now)
        self._changed.clear()
        self._written = now
        return [
            StateWrite(trending_key(window), StateRecord(position, encode_trending(self._top(window, now))))
            for window in WINDOWS
        ]

    def _expire(self, now: int) -> None:
        """Let go of items without activity in the kept days."""
        oldest = now // DAY - DAYS
        gone = [ordinal for ordinal, record in self._records.items() if record.daily()[0][-1] <= oldest]
        for ordinal in gone:
            del self._records[ordinal]
            for scores in self._scores.values():
                scores.pop(ordinal, None)

    def _score(self, ordinals: Iterable[int], now: int) -> None:
        """Score items in every window; an item that does not trend is not kept."""
        chosen = [ordinal for ordinal in ordinals if ordinal in self._records]
        records = [self._records[ordinal] for ordinal in chosen]
        for window, hours in WINDOWS.items():
            found = activity(records, now, hours)
            values = trending_scores(found.current, found.baseline, hours, found.baseline_hours, self._trending)
            scores = self._scores[window]
            for ordinal, value in zip(chosen, values.tolist(), strict=True):
                if value > 0:
                    scores[ordinal] = value
                else:
                    scores.pop(ordinal, None)

    def _top(self, window: str, now: int) -> TrendingList:
        """Return the best of a window, ties by ordinal."""
        scores = self._scores[window]
        items = np.fromiter(scores.keys(), np.int32, len(scores))
        values = np.fromiter(scores.values(), np.float32, len(scores))
        best = np.lexsort((items, -values))[: self._config.listed]
        return TrendingList.of(now, items[best], values[best])

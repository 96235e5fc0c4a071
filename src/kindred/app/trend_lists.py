"""Takes over the live trending lists: those of every partition of the items, merged."""

from collections.abc import Iterable, Mapping

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.clock import HOUR, Clock
from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.country_trends import (
    PARTITIONS,
    CountryTrends,
    country_trends_key,
    decode_country_trends,
    window_trends_key,
)
from kindred.features.trending_list import TrendingList, decode_trending
from kindred.models.trending import WINDOWS
from kindred.ports.state import StateKey, StateRecord, StateStore
from kindred.recommend.world import TrendBoard

Columns = tuple[Ordinals, Floats]
_MOST_PARTITIONS = 10_000


class TrendLists:
    """Keeps a board of trends current; what has not changed since the last look is not decoded again."""

    def __init__(self, state: StateStore, clock: Clock) -> None:
        """Read from `state`; a list older than its window is dropped by `clock`."""
        self.board = TrendBoard()
        self._state, self._clock = state, clock
        self._partitions = 1
        self._kept: dict[StateKey, tuple[Position, TrendingList | CountryTrends]] = {}

    async def step(self) -> None:
        """Take over what was written since the last step."""
        while True:
            keys = [
                make(window, part)
                for make in (window_trends_key, country_trends_key)
                for window in WINDOWS
                for part in range(self._partitions)
            ]
            view = await self._state.read([PARTITIONS, *keys])
            partitions = _count(view.records[0])
            if partitions == self._partitions:
                break
            self._partitions = partitions
        self._take_over(dict(zip(keys, view.records[1:], strict=True)))
        self._replace()

    def _take_over(self, found: Mapping[StateKey, StateRecord | None]) -> None:
        """Decode what is new."""
        kept: dict[StateKey, tuple[Position, TrendingList | CountryTrends]] = {}
        for key, record in found.items():
            if record is None or not record.value:
                continue
            known = self._kept.get(key)
            if known is None or known[0] != record.position:
                decode = decode_country_trends if "@" in key.key else decode_trending
                known = (record.position, decode(record.value))
            kept[key] = known
        self._kept = kept

    def _replace(self) -> None:
        now = self._clock.now()
        lists: dict[str, Columns] = {}
        local: dict[str, dict[str, Columns]] = {}
        for window, hours in WINDOWS.items():
            fresh = now - hours * HOUR
            parts = [self._kept.get(window_trends_key(window, part)) for part in range(self._partitions)]
            overall = [each[1] for each in parts if each is not None and each[1].as_of >= fresh]
            if overall:
                lists[window] = _merged(each for each in overall if isinstance(each, TrendingList))
            by_country: dict[str, list[TrendingList]] = {}
            for part in range(self._partitions):
                known = self._kept.get(country_trends_key(window, part))
                if known is not None and isinstance(known[1], CountryTrends) and known[1].as_of >= fresh:
                    for country, found in known[1].countries.items():
                        by_country.setdefault(country, []).append(found)
            local[window] = {country: _merged(found) for country, found in by_country.items()}
        self.board.replace(lists, local)


def _merged(found: Iterable[TrendingList]) -> Columns:
    """Join the lists of all partitions, best first, ties by ordinal."""
    columns = [each.columns() for each in found]
    if len(columns) == 1:
        return columns[0]
    items = np.concatenate([each[0] for each in columns])
    scores = np.concatenate([each[1] for each in columns])
    order = np.lexsort((items, -scores))
    return items[order], scores[order]


def _count(record: StateRecord | None) -> int:
    """Return how many partitions of items there are."""
    if record is None:
        return 1
    if not record.value.isdigit() or not 1 <= int(record.value) <= _MOST_PARTITIONS:
        raise InvalidInput("the record of the number of item partitions is no such number")
    return int(record.value)

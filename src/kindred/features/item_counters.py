"""What is counted of an item, and how much each event adds."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR, MINUTE
from kindred.features.counters import Amounts, Counter, CounterSet, Integers, name_bucket
from kindred.features.deeds import PRICE_UNIT, RATING_UNIT, SHARE_UNIT, Deeds
from kindred.features.groups import FoldConfig

_FIVE = 5 * MINUTE
# An hour, what is begun of it at both ends, and clocks five minutes ahead; the same for a day, a week and thirty days.
_FIVES, _HOURS, _WEEK, _DAYS = 16, 27, 10, 33
ACTIVE_HOURS, ACTIVE_DAYS = 192, 33

TYPES = Counter("types", 0, 0, 0, "events by type; bucket = hash of the type's name")
VIEWS_5M = Counter("views_5m", 1, _FIVE, _FIVES, "views")
VIEWS_H = Counter("views_h", 2, HOUR, _HOURS, "views")
VIEWS_D = Counter("views_d", 3, DAY, _DAYS, "views")
CLICKS_H = Counter("clicks_h", 5, HOUR, _HOURS, "clicks")
EXPOSED_5M = Counter("exposed_5m", 7, _FIVE, _FIVES, "exposures, once per request and item")
EXPOSED_H = Counter("exposed_h", 8, HOUR, _HOURS, "exposures, once per request and item")
EXPOSED_D = Counter("exposed_d", 9, DAY, _WEEK, "exposures, once per request and item")
CREDITED_5M = Counter("credited_5m", 10, _FIVE, _FIVES, "exposures that were clicked, by the exposure's time")
CREDITED_H = Counter("credited_h", 11, HOUR, _HOURS, "exposures that were clicked, by the exposure's time")
CREDITED_D = Counter("credited_d", 12, DAY, _WEEK, "exposures that were clicked, by the exposure's time")
CONVERSIONS_H = Counter("conversions_h", 13, HOUR, _HOURS, "conversions")
SUMS = Counter("sums", 15, 0, 0, "totals; bucket = one of the codes below")
WEEK_HOURS = Counter("week_hours", 16, 0, 0, "activity by hour of the week UTC, 0 = Monday 0:00, to 167")
MONTHS = Counter("months", 17, 0, 0, "activity by month, 0 = January, to 11")
ACTIVE_H = Counter("active_h", 18, HOUR, ACTIVE_HOURS, "activity: all events but quiet ones")
ACTIVE_D = Counter("active_d", 19, DAY, ACTIVE_DAYS, "activity: all events but quiet ones")

ITEM_COUNTERS = CounterSet.of(
    (
        *(TYPES, VIEWS_5M, VIEWS_H, VIEWS_D, CLICKS_H, EXPOSED_5M, EXPOSED_H, EXPOSED_D),
        *(CREDITED_5M, CREDITED_H, CREDITED_D, CONVERSIONS_H, SUMS, WEEK_HOURS, MONTHS, ACTIVE_H, ACTIVE_D),
    )
)

EXPOSURES = 0
CREDITED_CLICKS = 1
CREDITED_CONVERSIONS = 2
CREDITED_DWELL_MS = 3
COMPLETION_SUM = 4
COMPLETION_COUNT = 5
WATCHED_MS = 6
RATING_SUM = 7
RATING_COUNT = 8
PRICE_SUM = 9
PRICE_COUNT = 10
TOTALS = 11
"""Buckets of `SUMS`, and how many: completions and ratings in thousandths, prices in hundredths, times in ms."""

HOURS_OF_WEEK = 168
# 1970 began on a Thursday.
_MONDAY = 72
MONTHS_OF_YEAR = 12


def hour_of_week(timestamps: Integers) -> NDArray[np.int64]:
    """Return the hour of the week (n,), 0 = Monday 0:00 UTC, of times in ms."""
    hours: NDArray[np.int64] = (timestamps // HOUR + _MONDAY) % HOURS_OF_WEEK
    return hours


def month_of(timestamps: Integers) -> NDArray[np.int64]:
    """Return the month (n,), 0 = January, of times in ms."""
    months = timestamps.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(months % MONTHS_OF_YEAR, np.int64)


def item_amounts(deeds: Deeds, exposed: NDArray[np.bool_], config: FoldConfig) -> Amounts:
    """Return what events add to their items; `exposed (n,)`: the event is an exposure, too."""
    named = np.array([bool(name) for name in deeds.names] or [False], np.bool_)[deeds.codes]
    views, clicks = deeds.of_types(config.views), deeds.of_types(config.clicks)
    conversions, ratings = deeds.of_types(config.conversions), deeds.of_types(config.ratings)
    active = named & ~deeds.of_types(config.quiet)
    parts = [
        *type_totals(deeds, named),
        *deeds.timed(views, (VIEWS_5M, VIEWS_H, VIEWS_D)),
        *deeds.timed(clicks, (CLICKS_H,)),
        *deeds.timed(exposed, (EXPOSED_5M, EXPOSED_H, EXPOSED_D)),
        *deeds.timed(conversions, (CONVERSIONS_H,)),
        *deeds.timed(active, (ACTIVE_H, ACTIVE_D)),
        *deeds.coded(active, WEEK_HOURS, hour_of_week),
        *deeds.coded(active, MONTHS, month_of),
        *deeds.summed(views, _sum(COMPLETION_SUM), _sum(COMPLETION_COUNT), SHARE_UNIT),
        *deeds.watched(views, _sum(WATCHED_MS)),
        *deeds.summed(ratings, _sum(RATING_SUM), _sum(RATING_COUNT), RATING_UNIT),
        *deeds.summed(conversions, _sum(PRICE_SUM), _sum(PRICE_COUNT), PRICE_UNIT),
    ]
    shown = deeds.owners[exposed]
    if len(shown):
        parts.append(Amounts(shown, np.full(len(shown), _sum(EXPOSURES), np.int64), np.ones(len(shown), np.int64)))
    return Amounts.join(parts)


def country_amounts(deeds: Deeds, config: FoldConfig) -> Amounts:
    """Return what events add to the activity of their items in one country."""
    active = ~deeds.of_types((*config.quiet, ""))
    return Amounts.join(deeds.timed(active, (ACTIVE_H, ACTIVE_D)))


def type_totals(deeds: Deeds, chosen: NDArray[np.bool_]) -> list[Amounts]:
    """Count the chosen events (n,) by type, those of unknown time too."""
    if not len(deeds.owners):
        return []
    slots = np.array([TYPES.first + name_bucket(name) for name in deeds.names], np.int64)[deeds.codes[chosen]]
    return [Amounts(deeds.owners[chosen], slots, np.ones(len(slots), np.int64))]


def exposure_entries(timestamp: int, count: int) -> Iterable[tuple[int, int]]:
    """Return the (slot, amount) of `count` exposures at `timestamp` (ms); negative takes them back."""
    yield from ((c.first + timestamp // c.width, count) for c in (EXPOSED_5M, EXPOSED_H, EXPOSED_D))
    yield _sum(EXPOSURES), count


def credit_entries(timestamp: int, clicks: int, conversions: int, dwell_ms: int) -> Iterable[tuple[int, int]]:
    """Return the (slot, amount) of what an exposure at `timestamp` (ms) brought; negative takes it back."""
    if clicks:
        yield from ((c.first + timestamp // c.width, clicks) for c in (CREDITED_5M, CREDITED_H, CREDITED_D))
        yield _sum(CREDITED_CLICKS), clicks
    if conversions:
        yield _sum(CREDITED_CONVERSIONS), conversions
    if dwell_ms:
        yield _sum(CREDITED_DWELL_MS), dwell_ms


def _sum(code: int) -> int:
    """Return the slot of a total."""
    return SUMS.first + code

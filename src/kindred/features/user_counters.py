"""What is counted of a user, and how much each event adds."""

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR, MINUTE
from kindred.features.counters import Amounts, Counter, CounterSet, Integers, name_bucket
from kindred.features.deeds import PRICE_UNIT, RATING_UNIT, SHARE_UNIT, Deeds
from kindred.features.groups import FoldConfig
from kindred.features.item_counters import type_totals

_FIVE = 5 * MINUTE
# An hour, what is begun of it at both ends, and clocks five minutes ahead; the same for a day and ninety.
_FIVES, _HOURS, _DAYS = 16, 27, 93

TYPES = Counter("types", 0, 0, 0, "events by type; bucket = hash of the type's name")
VIEWS_5M = Counter("views_5m", 1, _FIVE, _FIVES, "views")
VIEWS_H = Counter("views_h", 2, HOUR, _HOURS, "views")
VIEWS_D = Counter("views_d", 3, DAY, _DAYS, "views")
CLICKS_5M = Counter("clicks_5m", 4, _FIVE, _FIVES, "clicks")
CLICKS_H = Counter("clicks_h", 5, HOUR, _HOURS, "clicks")
CLICKS_D = Counter("clicks_d", 6, DAY, _DAYS, "clicks")
RATINGS_5M = Counter("ratings_5m", 7, _FIVE, _FIVES, "ratings")
RATINGS_H = Counter("ratings_h", 8, HOUR, _HOURS, "ratings")
RATINGS_D = Counter("ratings_d", 9, DAY, _DAYS, "ratings")
ACTIVE_D = Counter("active_d", 10, DAY, _DAYS, "events of the user by day, impressions left out")
DAY_HOURS = Counter("day_hours", 11, 0, 0, "events of the user by hour of the day UTC, impressions left out")
DEVICES = Counter("devices", 12, 0, 0, "events by device; bucket = hash of the device's name, 0 = another one")
SUMS = Counter("sums", 13, 0, 0, "totals; bucket = one of the codes below")

USER_COUNTERS = CounterSet.of(
    (
        *(TYPES, VIEWS_5M, VIEWS_H, VIEWS_D, CLICKS_5M, CLICKS_H, CLICKS_D, RATINGS_5M, RATINGS_H, RATINGS_D),
        *(ACTIVE_D, DAY_HOURS, DEVICES, SUMS),
    )
)

WATCHED_MS = 0
WATCHED_COUNT = 1
COMPLETION_SUM = 2
COMPLETION_COUNT = 3
RATING_SUM = 4
RATING_COUNT = 5
PRICE_SUM = 6
PRICE_COUNT = 7
SESSIONS = 8
SESSION_MS = 9
"""Buckets of `SUMS`: completions and ratings in thousandths, prices in hundredths, times in milliseconds.

`SESSIONS` and `SESSION_MS` hold only sessions that left the list of a record's newest ones.
"""

NO_DEVICE = -1
_DAY_HOURS = 24


def device_bucket(device: str, config: FoldConfig) -> int:
    """Return the bucket of a device, 0 for one that has no own, -1 for none."""
    if not device:
        return NO_DEVICE
    return name_bucket(device) if device in config.devices else 0


def hour_of_day(timestamps: Integers) -> NDArray[np.int64]:
    """Return the hour of the day UTC (n,) of times in ms."""
    hours: NDArray[np.int64] = timestamps // HOUR % _DAY_HOURS
    return hours


def user_amounts(deeds: Deeds, devices: NDArray[np.int64] | None, config: FoldConfig) -> Amounts:
    """Return what events add to their users; `devices (n,)`: buckets of devices, -1 for none."""
    views, clicks = deeds.of_types(config.views), deeds.of_types(config.clicks)
    ratings, conversions = deeds.of_types(config.ratings), deeds.of_types(config.conversions)
    active = ~deeds.of_types(config.impressions)
    parts = [
        *type_totals(deeds, np.ones(len(deeds.owners), np.bool_)),
        *deeds.timed(views, (VIEWS_5M, VIEWS_H, VIEWS_D)),
        *deeds.timed(clicks, (CLICKS_5M, CLICKS_H, CLICKS_D)),
        *deeds.timed(ratings, (RATINGS_5M, RATINGS_H, RATINGS_D)),
        *deeds.timed(active, (ACTIVE_D,)),
        *deeds.coded(active, DAY_HOURS, hour_of_day),
        *deeds.watched(views, _sum(WATCHED_MS)),
        *deeds.summed(views, _sum(COMPLETION_SUM), _sum(COMPLETION_COUNT), SHARE_UNIT),
        *deeds.summed(ratings, _sum(RATING_SUM), _sum(RATING_COUNT), RATING_UNIT),
        *deeds.summed(conversions, _sum(PRICE_SUM), _sum(PRICE_COUNT), PRICE_UNIT),
    ]
    watched = deeds.owners[views & ~np.isnan(deeds.watches)]
    parts.append(
        Amounts(watched, np.full(len(watched), _sum(WATCHED_COUNT), np.int64), np.ones(len(watched), np.int64))
    )
    if devices is not None:
        named = devices >= 0
        owners = deeds.owners[named]
        parts.append(Amounts(owners, DEVICES.slots(devices[named]), np.ones(len(owners), np.int64)))
    return Amounts.join(parts)


def session_amounts(owner: int, count: int, length: int) -> Amounts:
    """Return what sessions that are rolled into the totals add to a user: how many, and how many ms."""
    slots = np.array([_sum(SESSIONS), _sum(SESSION_MS)], np.int64)
    return Amounts(np.full(2, owner, np.int64), slots, np.array([count, length], np.int64))


def _sum(code: int) -> int:
    """Return the slot of a total."""
    return SUMS.first + code

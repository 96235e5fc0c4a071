"""What a user's record says at a moment."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR
from kindred.core.profile import Profile, age_decade
from kindred.features.counters import name_bucket
from kindred.features.history import HistoryRows
from kindred.features.registry import UNKNOWN
from kindred.features.sessions import session_list
from kindred.features.user_counters import (
    ACTIVE_D,
    CLICKS_5M,
    CLICKS_D,
    CLICKS_H,
    COMPLETION_COUNT,
    COMPLETION_SUM,
    DAY_HOURS,
    DEVICES,
    RATING_COUNT,
    RATING_SUM,
    RATINGS_5M,
    RATINGS_D,
    RATINGS_H,
    SESSION_MS,
    SESSIONS,
    SUMS,
    TYPES,
    VIEWS_5M,
    VIEWS_D,
    VIEWS_H,
    WATCHED_COUNT,
    WATCHED_MS,
)
from kindred.features.users import UserRecord
from kindred.features.values.attributes import ItemAttributes
from kindred.features.values.config import DEFAULT, ValueConfig
from kindred.features.values.windows import Counted

_UNIT = 1_000
_DAY_HOURS = 24
_CATEGORIES = 2
_TIMED = {
    "views": (VIEWS_5M, VIEWS_H, VIEWS_D),
    "clicks": (CLICKS_5M, CLICKS_H, CLICKS_D),
    "ratings": (RATINGS_5M, RATINGS_H, RATINGS_D),
}
_LENGTHS = {"1h": HOUR, "24h": DAY, "90d": 90 * DAY}
_AVERAGES = (
    ("avg_watch_duration", WATCHED_MS, WATCHED_COUNT, 0.0),
    ("avg_watch_completion", COMPLETION_SUM, COMPLETION_COUNT, 0.0),
    ("avg_rating", RATING_SUM, RATING_COUNT, 3.0),
)
"""Feature, total, number, and the value where the number is none."""


@dataclass(frozen=True, slots=True)
class UserReading:
    """A user at `as_of` (ms): the record's `rows (r,)` with the attributes of their items, and what they weigh.

    `weights (r,)` say how much a row tells of taste, `taste (r,)` the same with the weight of old rows halved again and
    again. `affinity (c,)` is the share of each category in it, `favourites` the categories that weigh most there, with
    shares that sum to 1. `novelty`: share of rows whose item was new then, None where no item has a date. `session`:
    start of the open session in ms, or None.
    """

    record: UserRecord
    as_of: int
    rows: HistoryRows
    items: ItemAttributes
    weights: NDArray[np.float64]
    taste: NDArray[np.float64]
    affinity: NDArray[np.float64]
    favourites: list[tuple[int, float]]
    novelty: float | None
    sessions: list[tuple[int, int]]
    session: int | None
    config: ValueConfig

    @classmethod
    def of(
        cls, record: UserRecord | None, as_of: int, catalogue: ItemAttributes, config: ValueConfig = DEFAULT
    ) -> "UserReading":
        """Read a record; None is a user of whom nothing is known. `catalogue` covers ordinals from 0."""
        record = record or UserRecord()
        rows = record.rows()
        items = catalogue.take(rows.items)
        weights = _weights(rows, config)
        taste = weights * decay(rows, as_of, config.taste_days)
        affinity = _by_category(items, taste)
        total = affinity.sum()
        sessions = [each for each in session_list(record.sessions) if each[0] <= as_of]
        gap = config.fold.session_gap * _UNIT
        start = sessions[-1][0] if sessions and as_of - sessions[-1][1] <= gap else None
        shares = affinity / total if total > 0 else affinity
        favourites, novelty = _favourites(items, shares, config), _novelty(rows, items, config)
        return cls(record, as_of, rows, items, weights, taste, shares, favourites, novelty, sessions, start, config)

    def of_types(self, types: tuple[str, ...]) -> NDArray[np.bool_]:
        """Return which rows (r,) are of one of the types."""
        return np.array([name in types for name in self.rows.names] or [False], np.bool_)[self.rows.codes]

    def mean(self, column: NDArray[Any]) -> float | None:
        """Return the mean of an attribute (r,), weighted by taste, where it is known; None where it never is."""
        known = ~np.isnan(column) & (self.taste > 0)
        weights = self.taste[known]
        total = weights.sum()
        return float(weights @ column[known] / total) if total > 0 else None


def user_values(reading: UserReading) -> dict[str, Any]:
    """Return every feature of a user by name; what there is no data for has its default."""
    return {
        **_profile_values(reading.record.profile, reading.as_of),
        **_counted(reading),
        **_sessions(reading),
        **_taste(reading),
    }


def decay(rows: HistoryRows, as_of: int, half_life: float) -> NDArray[np.float64]:
    """Return 2^(-age / half_life days) of rows (r,), 0 for unknown times."""
    ages = np.maximum(as_of - rows.timestamps, 0) / DAY
    return np.where(rows.timestamps >= 0, np.exp2(-ages / half_life), 0.0)


def _weights(rows: HistoryRows, config: ValueConfig) -> NDArray[np.float64]:
    """Return what each row says of taste (r,); a bad rating says nothing good."""
    by_name = dict(config.weights)
    weights = np.array([by_name.get(name, 0.0) for name in rows.names] or [0.0])[rows.codes]
    rated = np.array([name in config.fold.ratings for name in rows.names] or [False], np.bool_)[rows.codes]
    weights[rated & (rows.values <= config.disliked)] = 0.0
    return weights


def _by_category(items: ItemAttributes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add weights (r,) up by category (c,), those of the second one too."""
    size = len(items.names.categories)
    found = np.zeros(size)
    for codes in (items.primary, items.secondary):
        found += np.bincount(codes + 1, weights, size + 1)[1:]
    return found


def _favourites(items: ItemAttributes, affinity: NDArray[np.float64], config: ValueConfig) -> list[tuple[int, float]]:
    """Return the categories that weigh most, rare ones more (TF-IDF; Salton and Buckley 1988)."""
    scores = affinity * np.maximum(items.names.rarity, 0)
    best = np.lexsort((np.arange(len(scores)), -scores))[: config.favourites]
    best = best[scores[best] > 0]
    return list(zip(best.tolist(), (scores[best] / scores[best].sum()).tolist(), strict=True))


def _novelty(rows: HistoryRows, items: ItemAttributes, config: ValueConfig) -> float | None:
    """Return the share of rows whose item was new then."""
    dated = (items.created > 0) & (rows.timestamps >= 0)
    many = int(np.count_nonzero(dated))
    if not many:
        return None
    return int(np.count_nonzero(dated & (rows.timestamps - items.created <= config.new_days * DAY))) / many


def _profile_values(profile: Profile | None, as_of: int) -> dict[str, Any]:
    """Return what the profile says."""
    if profile is None:
        return {"age_bucket": UNKNOWN, "gender": UNKNOWN, "country": UNKNOWN}
    return {
        "age_bucket": age_decade(profile, as_of) or UNKNOWN,
        "gender": profile.gender or UNKNOWN,
        "country": profile.country or UNKNOWN,
    }


def _counted(reading: UserReading) -> dict[str, Any]:
    """Return what the counters say."""
    found = Counted(reading.record.counters)
    return {**_totals(found, reading), **_averages(found, reading), **_habits(found, reading)}


def _totals(found: Counted, reading: UserReading) -> dict[str, Any]:
    """Return totals and windows of views, clicks and ratings."""
    made: dict[str, Any] = {}
    for what, counters in _TIMED.items():
        names = frozenset(getattr(reading.config.fold, what))
        made[f"{what}_total"] = sum(found.at(TYPES, name_bucket(name)) for name in names)
        for (window, length), counter in zip(_LENGTHS.items(), counters, strict=True):
            made[f"{what}_{window}"] = found.window(counter, reading.as_of, length)
    return made


def _averages(found: Counted, reading: UserReading) -> dict[str, Any]:
    """Return what events and sessions are like on average."""
    count = found.at(SUMS, SESSIONS) + len(reading.sessions)
    length = found.at(SUMS, SESSION_MS) + sum(min(end, reading.as_of) - start for start, end in reading.sessions)
    made: dict[str, Any] = {}
    for name, total, many, without in _AVERAGES:
        times = found.at(SUMS, many)
        made[name] = found.at(SUMS, total) / _UNIT / times if times > 0 else without
    made["avg_session_duration"] = length / _UNIT / count if count > 0 else 0.0
    return made


def _habits(found: Counted, reading: UserReading) -> dict[str, Any]:
    """Return when and on what the user is active."""
    today, devices = reading.as_of // DAY, reading.config.fold.devices
    hours = np.array([found.at(DAY_HOURS, hour) for hour in range(_DAY_HOURS)], np.float64)
    total = hours.sum()
    used = {device: found.at(DEVICES, name_bucket(device)) for device in devices}
    used[""] = found.at(DEVICES, 0)
    best = max(used, key=used.__getitem__)
    return {
        "active_days": sum(amount > 0 for amount in found.buckets(ACTIVE_D, today - 90, today)),
        "active_hours": hours / total if total > 0 else hours,
        "device_preference": (best or "other") if used[best] > 0 else UNKNOWN,
    }


def _sessions(reading: UserReading) -> dict[str, Any]:
    """Return what the last day and the open session say."""
    rows, as_of = reading.rows, reading.as_of
    viewed = reading.of_types(reading.config.fold.views) & (rows.timestamps >= 0) & (rows.timestamps <= as_of)
    places = np.flatnonzero(viewed)
    items, times = rows.items[places], rows.timestamps[places]
    start = reading.session
    last = int(reading.items.primary[places[0]]) if len(places) else -1
    return {
        "sessions_24h": sum(end > as_of - DAY for _, end in reading.sessions),
        "items_viewed_24h": len(set(items[times > as_of - DAY].tolist())),
        "items_viewed_session": 0 if start is None else len(set(items[times >= start].tolist())),
        "current_session_duration": 0.0 if start is None else (as_of - start) / _UNIT,
        "last_category_viewed": reading.items.names.category(last) or UNKNOWN,
    }


def _taste(reading: UserReading) -> dict[str, Any]:
    """Return what the rows say of the user's taste."""
    active = float(reading.weights @ decay(reading.rows, reading.as_of, reading.config.engagement_days))
    codes, names = reading.items.primary, reading.items.names
    counts = np.bincount(codes[codes >= 0]) if len(codes) else np.zeros(0)
    return {
        "favourite_categories": [(names.categories[code], share) for code, share in reading.favourites],
        "engagement_score": 1.0 - math.exp(-active / 20),
        "diversity_score": spread(counts[counts > 0], len(names.categories)),
        "prefers_new_content": reading.novelty or 0.0,
        "price_affinity": reading.mean(reading.items.price) or 0.0,
    }


def spread(counts: NDArray[Any], categories: int) -> float:
    """Return the entropy of counts over the largest that they can have (Shannon 1948), 0 to 1."""
    total = counts.sum()
    most = math.log(min(int(total), categories)) if total and categories else 0.0
    if most <= 0:
        return 0.0
    shares = counts / total
    return float(-(shares * np.log(shares)).sum() / most) + 0.0

"""What items' records and the catalogue say at a moment, for all candidates at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR
from kindred.features.item_counters import (
    ACTIVE_D,
    CLICKS_H,
    COMPLETION_COUNT,
    COMPLETION_SUM,
    CONVERSIONS_H,
    CREDITED_5M,
    CREDITED_D,
    CREDITED_H,
    EXPOSED_5M,
    EXPOSED_D,
    EXPOSED_H,
    MONTHS,
    RATING_COUNT,
    RATING_SUM,
    SUMS,
    VIEWS_5M,
    VIEWS_D,
    VIEWS_H,
    WEEK_HOURS,
    hour_of_week,
    month_of,
)
from kindred.features.items import ItemRecord
from kindred.features.registry import UNKNOWN
from kindred.features.values.attributes import ItemAttributes
from kindred.features.values.windows import Questions

Numbers = NDArray[np.float64]

_UNIT = 1_000
_WEEK_HOURS, _MONTHS = 168, 12
_CTR, _CTR_WEIGHT = 0.02, 50
_RATING, _RATING_WEIGHT = 3.0, 5
_QUALITY_WEIGHT, _HIGHEST = 10, 5.0
_NO_DATE_DAYS, _FRESH_DAYS = 365.0, 30.0
_TYPICAL_ACTIVITY = np.log(101)


@dataclass(frozen=True, slots=True)
class ItemReading:
    """n items at `as_of` (ms): the sums that their counters hold, and their attributes.

    `week_hour`: events (n,) in the hour of the week on a user's clock; `events` all that tell an hour.
    """

    as_of: int
    sums: dict[str, Numbers]
    items: ItemAttributes

    @classmethod
    def of(cls, records: Sequence[ItemRecord], as_of: int, items: ItemAttributes, offset: int = 0) -> "ItemReading":
        """Read n records with their attributes; `offset` is how far the user's clock is ahead of UTC in ms."""
        asked = Questions(as_of)
        moment, local = np.array([as_of]), np.array([as_of + offset])
        _ask_windows(asked)
        for name, code in _TOTALS.items():
            asked.between(name, SUMS, code, code)
        for name, when in (("week_hour", moment), ("local_hour", local)):
            hour = int(hour_of_week(when)[0])
            asked.between(name, WEEK_HOURS, hour, hour)
        asked.between("events", WEEK_HOURS, 0, _WEEK_HOURS - 1)
        month = int(month_of(moment)[0])
        asked.between("month", MONTHS, month, month)
        return cls(as_of, asked.answers([record.counters for record in records]), items)

    def timing(self) -> Numbers:
        """Return how much more than usual happens to items (n,) in the hour of the week on the user's clock."""
        return _WEEK_HOURS * (self.sums["local_hour"] + 1) / (self.sums["events"] + _WEEK_HOURS)


_TOTALS = {
    "completion": COMPLETION_SUM,
    "completions": COMPLETION_COUNT,
    "rating": RATING_SUM,
    "ratings": RATING_COUNT,
}


def _ask_windows(asked: Questions) -> None:
    """Ask for what happened in windows."""
    for name, counters in (
        ("views", (VIEWS_5M, VIEWS_H, VIEWS_D)),
        ("shown", (EXPOSED_5M, EXPOSED_H, EXPOSED_D)),
        ("credited", (CREDITED_5M, CREDITED_H, CREDITED_D)),
    ):
        for window, length, counter in zip(("1h", "24h", "7d"), (HOUR, DAY, 7 * DAY), counters, strict=True):
            asked.window(f"{name}_{window}", counter, length)
    asked.window("views_30d", VIEWS_D, 30 * DAY)
    asked.window("clicks_24h", CLICKS_H, DAY)
    asked.window("conversions_24h", CONVERSIONS_H, DAY)
    asked.window("active_30d", ACTIVE_D, 30 * DAY)


def item_columns(reading: ItemReading) -> dict[str, NDArray[Any]]:
    """Return every feature of n items by name: (n,) each, `tags (n, 16)`, `text_embedding (n, d)`.

    Categories are codes into the attributes' names, -1 where there is none; `category_names` gives the names.
    """
    return {**_described(reading), **_liked(reading), **_watched(reading)}


def category_names(items: ItemAttributes, codes: NDArray[np.int32]) -> list[str]:
    """Return the names of codes, `unknown` for -1."""
    return [items.names.category(code) or UNKNOWN for code in codes.tolist()]


def _described(reading: ItemReading) -> dict[str, NDArray[Any]]:
    """Return what the catalogue and the content model say."""
    items = reading.items
    known = items.created > 0
    days = np.where(known, np.maximum(reading.as_of - items.created, 0) / DAY, _NO_DATE_DAYS)
    return {
        "category": items.primary,
        "subcategory": items.secondary,
        "tags": items.tags,
        "created": items.created,
        "days_since_created": days,
        "recency_score": np.where(known, np.exp(-days / _FRESH_DAYS), 0.0),
        "text_embedding": np.zeros((len(items), 0), np.float32) if items.content is None else items.content,
    }


def _liked(reading: ItemReading) -> dict[str, NDArray[Any]]:
    """Return what ratings and watched shares say."""
    sums = reading.sums
    stars, ratings = sums["rating"] / _UNIT, sums["ratings"]
    watched, views = sums["completion"] / _UNIT, sums["completions"]
    told = ratings + views + _QUALITY_WEIGHT
    return {
        "quality_score": np.clip((stars / _HIGHEST + watched + _QUALITY_WEIGHT * 0.5) / told, 0.0, 1.0),
        "avg_rating": (stars + _RATING_WEIGHT * _RATING) / (ratings + _RATING_WEIGHT),
        "rating_count": np.log1p(ratings),
        "avg_watch_completion": np.divide(watched, views, out=np.zeros_like(views), where=views > 0),
    }


def _watched(reading: ItemReading) -> dict[str, NDArray[Any]]:
    """Return what windows say."""
    sums = reading.sums
    windows = ("1h", "24h", "7d", "30d")
    views = np.log1p(np.stack([sums[f"views_{window}"] for window in windows]))
    ctr = {
        window: (sums[f"credited_{window}"] + _CTR_WEIGHT * _CTR) / (sums[f"shown_{window}"] + _CTR_WEIGHT)
        for window in windows[:3]
    }
    hourly, usual = sums["views_1h"] + 1, sums["views_7d"] / _WEEK_HOURS + 1
    active = np.log1p(sums["active_30d"])
    hour = _WEEK_HOURS * (sums["week_hour"] + 1) / (sums["events"] + _WEEK_HOURS)
    month = _MONTHS * (sums["month"] + _WEEK_HOURS / _MONTHS) / (sums["events"] + _WEEK_HOURS)
    return {
        **{f"views_{window}": column for window, column in zip(windows, views, strict=True)},
        **{f"ctr_{window}": column for window, column in ctr.items()},
        "clicks_24h": sums["clicks_24h"],
        "conversions_24h": sums["conversions_24h"],
        "view_velocity_1h": sums["views_1h"] / 60,
        "view_velocity_ratio": hourly / (sums["views_24h"] / 24 + 1),
        "trending_score": np.log(np.maximum(hourly * ctr["1h"] / (usual * ctr["7d"]), 1e-9)),
        "popularity_score": active / (active + _TYPICAL_ACTIVITY),
        "seasonal_score": np.sqrt(hour * month),
    }

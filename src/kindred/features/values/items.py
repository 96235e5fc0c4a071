"""What items' records and the catalogue say at a moment, for all candidates at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.clock import DAY, HOUR
from kindred.features.item_blocks import (
    DAYS,
    FIVES,
    HOURS,
    WEEK,
    Blocks,
    Ring,
    Windows,
)
from kindred.features.item_counters import (
    COMPLETION_COUNT,
    COMPLETION_SUM,
    HOURS_OF_WEEK,
    MONTHS_OF_YEAR,
    RATING_COUNT,
    RATING_SUM,
    hour_of_week,
    month_of,
)
from kindred.features.registry import UNKNOWN
from kindred.features.values.attributes import WORDS, ItemAttributes

Numbers = NDArray[np.float64]

_UNIT = 1_000
CTR, CTR_WEIGHT = 0.02, 50
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
    def of(cls, heads: Blocks, as_of: int, items: ItemAttributes, offset: int = 0) -> "ItemReading":
        """Read n records' heads with their attributes; `offset` is how far the user's clock is ahead of UTC in ms."""
        hours = hour_of_week(np.array([as_of, as_of + offset])).tolist()
        months = heads["months"]
        sums: dict[str, Numbers] = {}
        windows = Windows(heads)
        for ring, length, names in _WINDOWS:
            columns = np.ascontiguousarray(windows.ending(ring, as_of, length).T, np.float64)
            sums |= zip(names, columns, strict=True)
        sums |= {name: heads["sums"][:, code].astype(np.float64) for name, code in _TOTALS.items()}
        sums |= {
            "week_hour": heads["week_hours"][:, hours[0]].astype(np.float64),
            "local_hour": heads["week_hours"][:, hours[1]].astype(np.float64),
            "month": months[:, int(month_of(np.array([as_of]))[0])].astype(np.float64),
            # Whatever tells an hour of the week tells a month.
            "events": np.einsum("nm->n", months).astype(np.float64),
        }
        return cls(as_of, sums, items)

    def timing(self) -> Numbers:
        """Return how much more than usual happens to items (n,) in the hour of the week on the user's clock."""
        return HOURS_OF_WEEK * (self.sums["local_hour"] + 1) / (self.sums["events"] + HOURS_OF_WEEK)


_TOTALS = {
    "completion": COMPLETION_SUM,
    "completions": COMPLETION_COUNT,
    "rating": RATING_SUM,
    "ratings": RATING_COUNT,
}


_WINDOWS: tuple[tuple[Ring, int, tuple[str, ...]], ...] = (
    (FIVES, HOUR, ("views_1h", "shown_1h", "credited_1h")),
    (HOURS, DAY, ("views_24h", "clicks_24h", "shown_24h", "credited_24h", "conversions_24h")),
    (WEEK, 7 * DAY, ("shown_7d", "credited_7d")),
    (DAYS, 7 * DAY, ("views_7d", "active_7d")),
    (DAYS, 30 * DAY, ("views_30d", "active_30d")),
)
"""What happened in windows: the names of a ring's counters, in its order."""


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
        "tags": np.broadcast_to(np.uint64(0), (len(items), WORDS)) if items.tags is None else items.tags,
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
        window: (sums[f"credited_{window}"] + CTR_WEIGHT * CTR) / (sums[f"shown_{window}"] + CTR_WEIGHT)
        for window in windows[:3]
    }
    hourly, usual = sums["views_1h"] + 1, sums["views_7d"] / HOURS_OF_WEEK + 1
    active = np.log1p(sums["active_30d"])
    hour = HOURS_OF_WEEK * (sums["week_hour"] + 1) / (sums["events"] + HOURS_OF_WEEK)
    month = month_share(sums["month"], sums["events"])
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


def month_share(month: Numbers, events: Numbers) -> Numbers:
    """Return how much more than in an average month happened to items (n,), of events in this month and of all.

    Smoothed by 168 events spread evenly over the year.
    """
    return MONTHS_OF_YEAR * (month + HOURS_OF_WEEK / MONTHS_OF_YEAR) / (events + HOURS_OF_WEEK)

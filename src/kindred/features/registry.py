"""The list of features that the state serves, with what a reader must know of each."""

from typing import Literal

import msgspec

from kindred.features.groups import ITEM, TRENDING, USER


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature: where it stands, how it is computed, its unit, what it is without data, and how long it holds.

    `ttl`: seconds until a value counts as unknown, None = as long as the record stands.
    """

    name: str
    group: str
    type: Literal["list", "set", "count", "number", "category", "buckets"]
    unit: str
    formula: str
    default: float | str | None = None
    ttl: int | None = None


_FEATURES = (
    Feature(name="history", group=USER, type="list", unit="rows", formula="newest 1,000 interactions"),
    Feature(name="seen", group=USER, type="set", unit="items", formula="distinct items of all interactions"),
    Feature(name="interactions", group=USER, type="count", unit="events", formula="all but passing events", default=0),
    Feature(name="country", group=USER, type="category", unit="ISO 3166 alpha-2", formula="profile.country"),
    Feature(name="gender", group=USER, type="category", unit="as given", formula="profile.gender"),
    Feature(
        name="age_bucket", group=USER, type="category", unit="decade", formula="year of as_of - birth_year, by ten"
    ),
    Feature(name="counts", group=ITEM, type="count", unit="events", formula="events by event type", default=0),
    Feature(name="rating_count", group=ITEM, type="count", unit="ratings", formula="rating events", default=0),
    Feature(name="avg_rating", group=ITEM, type="number", unit="rating", formula="rating_sum / rating_count"),
    Feature(
        name="hourly_activity",
        group=ITEM,
        type="buckets",
        unit="events an hour",
        formula="active events of the 192 hours up to the newest",
        default=0,
        ttl=192 * 3600,
    ),
    Feature(
        name="daily_activity",
        group=ITEM,
        type="buckets",
        unit="events a day",
        formula="active events of the 32 days up to the newest",
        default=0,
        ttl=32 * 86_400,
    ),
    Feature(
        name="trending_1h",
        group=TRENDING,
        type="number",
        unit="Pearson residual",
        formula="(c - e) / sqrt(e + prior)",
        default=0.0,
        ttl=3_600,
    ),
    Feature(
        name="trending_24h",
        group=TRENDING,
        type="number",
        unit="Pearson residual",
        formula="(c - e) / sqrt(e + prior)",
        default=0.0,
        ttl=86_400,
    ),
    Feature(
        name="trending_7d",
        group=TRENDING,
        type="number",
        unit="Pearson residual",
        formula="(c - e) / sqrt(e + prior)",
        default=0.0,
        ttl=7 * 86_400,
    ),
)


def features() -> dict[str, Feature]:
    """Return every feature by name."""
    return {feature.name: feature for feature in _FEATURES}

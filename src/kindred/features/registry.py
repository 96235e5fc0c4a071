"""The list of features: what each is called, how it is computed, and what it is where there is no data."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Entity = Literal["user", "item", "pair", "context"]
Kind = Literal["count", "number", "flag", "category", "list", "vector"]
Freshness = Literal["event", "catalogue", "profile", "model", "request"]
Default = float | str | bool | tuple[float, ...] | None

UNKNOWN = "unknown"
NEVER_HOURS = 8_760.0
_HOUR, _DAY = 3_600, 86_400


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of a user, an item, a user with an item, or a request.

    `default`: its value without data; None where it is an empty list or a vector of zeros. `ttl`: seconds without an
    event after which the value is what it would be without data; None = it holds as long as what it is made of stands.
    `freshness`: what moves it besides the passing of time: a folded event, the catalogue, the profile, a model's
    bundle, or the request itself.
    """

    name: str
    entity: Entity
    type: Kind
    unit: str
    formula: str
    default: Default = 0.0
    ttl: int | None = None
    freshness: Freshness = "event"


def _windowed(entity: Entity, name: str, unit: str, formula: str, windows: Iterable[tuple[str, int]]) -> list[Feature]:
    """Return one feature for each (window, its seconds)."""
    return [
        Feature(
            name=f"{name}_{window}",
            entity=entity,
            type="number" if unit.startswith("ln") else "count",
            unit=unit,
            formula=formula.format(window=window),
            ttl=seconds,
        )
        for window, seconds in windows
    ]


_USER_WINDOWS = (("1h", _HOUR), ("24h", _DAY), ("90d", 90 * _DAY))
_ITEM_WINDOWS = (("1h", _HOUR), ("24h", _DAY), ("7d", 7 * _DAY), ("30d", 30 * _DAY))


def _user(name: str, kind: Kind, unit: str, formula: str, **more: object) -> Feature:
    return msgspec.convert(
        {"name": name, "entity": "user", "type": kind, "unit": unit, "formula": formula} | more, Feature
    )


def _item(name: str, kind: Kind, unit: str, formula: str, **more: object) -> Feature:
    return msgspec.convert(
        {"name": name, "entity": "item", "type": kind, "unit": unit, "formula": formula} | more, Feature
    )


def _pair(name: str, kind: Kind, unit: str, formula: str, **more: object) -> Feature:
    return msgspec.convert(
        {"name": name, "entity": "pair", "type": kind, "unit": unit, "formula": formula} | more, Feature
    )


def _context(name: str, kind: Kind, unit: str, formula: str, **more: object) -> Feature:
    given = {"name": name, "entity": "context", "type": kind, "unit": unit, "formula": formula, "freshness": "request"}
    return msgspec.convert(given | more, Feature)


_PROFILE = {"default": UNKNOWN, "freshness": "profile"}
_CATALOGUE = {"freshness": "catalogue"}

_USER = [
    _user("age_bucket", "category", "decade", "10 * floor((UTC year of as_of - birth_year) / 10)", **_PROFILE),
    _user("gender", "category", "as given", "profile.gender", **_PROFILE),
    _user("country", "category", "ISO 3166 alpha-2", "profile.country", **_PROFILE),
    *(
        feature
        for what in ("views", "clicks", "ratings")
        for feature in (
            _user(f"{what}_total", "count", "events", f"all {what}"),
            *_windowed("user", what, "events", what + " in the buckets of the last {window}", _USER_WINDOWS),
        )
    ),
    _user("sessions_24h", "count", "sessions", "sessions that reach into the last 24 h", ttl=_DAY),
    _user("items_viewed_24h", "count", "items", "distinct items of views in the last 24 h", ttl=_DAY),
    _user("items_viewed_session", "count", "items", "distinct items of views since the open session began", ttl=1_800),
    _user(
        "current_session_duration",
        "number",
        "s",
        "as_of - start of the session whose last event is at most 30 min ago",
        ttl=1_800,
    ),
    _user("last_category_viewed", "category", "category", "category of the newest view", default=UNKNOWN),
    _user("avg_watch_duration", "number", "s", "seconds watched / views that tell them"),
    _user("avg_watch_completion", "number", "share", "sum of watched shares / views that tell one"),
    _user("avg_rating", "number", "rating", "sum of ratings / ratings", default=3.0),
    _user("active_days", "count", "days", "days of the last 90 with an event", ttl=90 * _DAY),
    _user("active_hours", "vector", "share (24,)", "events by hour of the day UTC / events", default=None),
    _user("avg_session_duration", "number", "s", "sum of (end - start) of sessions / sessions"),
    _user("device_preference", "category", "device", "the device with most events", default=UNKNOWN),
    _user(
        "favourite_categories",
        "list",
        "(category, share)",
        "top 5 of tf * idf, scaled to sum 1; tf = sum of w * 2^(-age / 30 d), "
        "idf = ln((1 + items) / (1 + items of it))",
        default=None,
    ),
    _user("engagement_score", "number", "0 to 1", "1 - exp(-sum of w * 2^(-age / 7 d) / 20)"),
    _user("diversity_score", "number", "0 to 1", "entropy of the rows' categories / ln(min(rows, categories))"),
    _user("prefers_new_content", "number", "share", "rows whose item was at most 30 d old / rows of items with a date"),
    _user("price_affinity", "number", "price", "sum of w * 2^(-age / 30 d) * price / sum of the same weights"),
]

_ITEM = [
    _item("category", "category", "category", "the first category", default=UNKNOWN, **_CATALOGUE),
    _item("subcategory", "category", "category", "the second category", default=UNKNOWN, **_CATALOGUE),
    _item("tags", "vector", "bits (16,) of 64", "multi-hot over the 1,000 commonest tags", default=None, **_CATALOGUE),
    _item("created", "number", "ms since 1970 UTC", "item.created", **_CATALOGUE),
    _item("days_since_created", "number", "days", "(as_of - created) / 1 d", default=365.0, **_CATALOGUE),
    _item("recency_score", "number", "0 to 1", "exp(-days_since_created / 30)", **_CATALOGUE),
    _item(
        "quality_score",
        "number",
        "0 to 1",
        "(sum of ratings / 5 + sum of watched shares + 10 * 0.5) / (ratings + watched shares + 10)",
        default=0.5,
    ),
    _item("avg_rating", "number", "rating", "(sum of ratings + 5 * 3) / (ratings + 5)", default=3.0),
    _item("rating_count", "number", "ln(1 + ratings)", "ln(1 + ratings)"),
    *_windowed("item", "views", "ln(1 + views)", "ln(1 + views in the buckets of the last {window})", _ITEM_WINDOWS),
    _item("clicks_24h", "count", "events", "clicks in the buckets of the last 24h", ttl=_DAY),
    _item("conversions_24h", "count", "events", "conversions in the buckets of the last 24h", ttl=_DAY),
    *(
        _item(
            f"ctr_{window}",
            "number",
            "share",
            f"(exposures of the last {window} that were clicked + 50 * 0.02) / (exposures + 50)",
            default=0.02,
            ttl=seconds,
        )
        for window, seconds in _ITEM_WINDOWS[:3]
    ),
    _item("view_velocity_1h", "number", "views a minute", "views of the last 1h / 60", ttl=_HOUR),
    _item(
        "view_velocity_ratio",
        "number",
        "ratio",
        "(views of the last 1h + 1) / (views of the last 24h / 24 + 1)",
        default=1.0,
        ttl=_DAY,
    ),
    _item(
        "trending_score",
        "number",
        "ln of a ratio",
        "ln((views of 1h + 1) * ctr_1h / ((views of 7d / 168 + 1) * ctr_7d))",
        ttl=7 * _DAY,
    ),
    _item("avg_watch_completion", "number", "share", "sum of watched shares / views that tell one"),
    _item(
        "popularity_score",
        "number",
        "0 to 1",
        "a / (a + ln 101), a = ln(1 + active events of the last 30d)",
        ttl=30 * _DAY,
    ),
    _item(
        "seasonal_score",
        "number",
        "lift",
        "sqrt(h * m), h = 168 (events in this hour of the week + 1) / (events + 168), "
        "m = 12 (events in this month + 14) / (events + 168), UTC",
        default=1.0,
    ),
    _item("text_embedding", "vector", "cosine space", "the content model's vector", default=None, freshness="model"),
]

_PAIR = [
    _pair("category_match", "flag", "0 or 1", "the item's category is one of favourite_categories"),
    _pair("category_affinity", "number", "share", "decayed weight of the item's category / of all categories"),
    _pair("tag_overlap", "number", "share", "tags of the item that positive rows bear / tags of the item"),
    _pair("content_similarity", "number", "-1 to 1", "cosine of the content vectors", freshness="model"),
    _pair("collaborative_similarity", "number", "-1 to 1", "cosine of the collaborative vectors", freshness="model"),
    _pair("has_viewed", "flag", "0 or 1", "a view of it is among the rows"),
    _pair("has_clicked", "flag", "0 or 1", "a click on it is among the rows"),
    _pair(
        "times_shown_without_click",
        "count",
        "exposures",
        "exposures of the last 24 h, each later than the last click on it",
        ttl=_DAY,
    ),
    _pair(
        "hours_since_category",
        "number",
        "h",
        "(as_of - newest row of its category) / 1 h, at most 8,760",
        default=NEVER_HOURS,
    ),
    _pair(
        "timing_match",
        "number",
        "lift",
        "168 (events of the item in the hour of the week on the user's clock + 1) / (events + 168)",
        default=1.0,
    ),
    _pair(
        "popularity_user_match",
        "number",
        "0 to 1",
        "1 - |popularity_score - weighted mean of it over positive rows|",
        default=0.5,
    ),
    _pair("recency_match", "number", "0 to 1", "1 - |recency_score - prefers_new_content|", default=0.5),
    _pair(
        "quality_match",
        "number",
        "0 to 1",
        "1 - |quality_score - weighted mean of it over positive rows|",
        default=0.5,
    ),
]

_CONTEXT = [
    _context("hour", "category", "0 to 23", "hour on the user's clock, UTC without a time zone", default=None),
    _context("weekday", "category", "0 = Monday", "weekday on the user's clock", default=None),
    _context("device", "category", "device", "context.device", default=UNKNOWN),
    _context("page", "category", "page", "context.page", default="home"),
    _context("location", "category", "CC[-region[-city]]", "context.location, else the profile's", default=UNKNOWN),
    _context("session_depth", "count", "rows", "rows since the open session began", ttl=1_800, freshness="event"),
    _context(
        "season",
        "category",
        "season",
        "meteorological season on the user's clock; southern countries half a year apart",
        default=None,
    ),
]

_FEATURES = (*_USER, *_ITEM, *_PAIR, *_CONTEXT)


def features(entity: Entity | None = None) -> dict[str, Feature]:
    """Return the features of an entity by name, or all of them by `entity.name`."""
    if entity is not None:
        return {feature.name: feature for feature in _FEATURES if feature.entity == entity}
    return {f"{feature.entity}.{feature.name}": feature for feature in _FEATURES}

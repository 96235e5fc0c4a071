"""Every feature by value: a short history, and the number that the documented formula gives for it by hand."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.unit.features.deeds import NOW, SHOP, did, profile, showed, values_of

from kindred.core.clock import DAY, HOUR, MINUTE
from kindred.features.registry import features
from kindred.features.values.items import category_names

ln, exp = math.log, math.exp


@dataclass(frozen=True)
class Case:
    """`expected` of a feature (of `item`, where it has one) after `history`, in a request with `context`."""

    feature: str
    expected: object
    history: tuple = ()
    item: int = 0
    context: dict = field(default_factory=dict)


def case(feature, expected, *history, item=0, **context):
    """Write a case in one line."""
    return Case(feature, expected, history, item, context)


def hours_ago(*hours):
    """Return a maker of events of one kind so many hours ago each."""
    return lambda kind, **more: [did(kind, ago=round(each * HOUR), **more) for each in hours]


# A window counts whole buckets: it holds what is older by less than the part of a bucket in which it begins.
IN_1H, OUT_1H = (0, 0.5, 1.0), (1 + 2 / 60,)
IN_24H, OUT_24H = (*IN_1H, *OUT_1H, 24, 24.4), (24.6,)
IN_90D, OUT_90D = (*IN_24H, *OUT_24H, 90 * 24 + 14), (90 * 24 + 15,)
ACTIVE = {"views": "view", "clicks": "click", "ratings": "rating"}
COUNTED = [
    counted
    for what, kind in ACTIVE.items()
    for counted in (
        case(f"user.{what}_total", 9, *hours_ago(*IN_90D, *OUT_90D)(kind)),
        case(f"user.{what}_1h", 3, *hours_ago(*IN_1H, *OUT_1H)(kind)),
        case(f"user.{what}_24h", 6, *hours_ago(*IN_24H, *OUT_24H)(kind)),
        case(f"user.{what}_90d", 8, *hours_ago(*IN_90D, *OUT_90D)(kind)),
        case(f"user.{what}_1h", 0, *hours_ago(0.5)("like")),
    )
]
EVENING = (did("view", 3, 90 * MINUTE), did("view", 0, 50 * MINUTE), did("view", 1, 25 * MINUTE))
# The idf of Drama (2 of 4 items) and of Romance and Comedy (1 of 4).
DRAMA, ROMANCE = ln(5 / 3), ln(5 / 2)
COMEDY = ROMANCE

USER = [
    case("user.age_bucket", "40", profile(birth_year=1979)),
    case("user.age_bucket", "0", profile(birth_year=2024)),
    case("user.gender", "f", profile(gender="f")),
    case("user.country", "JP", profile(country="JP")),
    *COUNTED,
    case("user.views_total", 1, did("view", ago=30 * HOUR), did("view", ago=30 * HOUR, arrived=0)),
    # One ended before the day began, one reaches into it, two lie in it.
    case("user.sessions_24h", 3, *hours_ago(40, 24.2, 23.9, 3, 0.1)("view")),
    # Fifty minutes apart; what comes late lies between them and makes them one.
    case("user.sessions_24h", 2, *hours_ago(1, 1 / 6)("view")),
    case("user.sessions_24h", 1, *hours_ago(1, 1 / 6)("view"), did("view", ago=35 * MINUTE, arrived=0)),
    case("user.sessions_24h", 0, showed(1, ago=MINUTE)),
    case("user.items_viewed_24h", 2, did("view", 0), did("view", 0), did("view", 1, DAY - 1), did("view", 2, DAY)),
    case("user.items_viewed_24h", 0, did("click", 0)),
    case("user.items_viewed_session", 2, *EVENING),
    case("user.items_viewed_session", 0, *EVENING[:2]),
    case("user.current_session_duration", 50 * 60.0, *EVENING),
    case("user.current_session_duration", 30 * 60.0, did("view", ago=30 * MINUTE)),
    case("user.current_session_duration", 0.0, did("view", ago=30 * MINUTE + 1)),
    case("user.last_category_viewed", "Comedy", did("view", 0, HOUR), did("view", 1, 9), did("click", 2)),
    case("user.avg_watch_duration", 45.0, did("view", watch=30.0), did("view", watch=60.0), did("view")),
    case("user.avg_watch_completion", 0.5, did("view", value=0.25), did("view", value=0.75), did("view")),
    case("user.avg_rating", 3.5, did("rating", value=2.0), did("rating", 1, value=5.0)),
    # Today twice, yesterday, the 90th day back, and one behind it.
    case("user.active_days", 3, *hours_ago(0, 1, 24, 90 * 24, 91 * 24)("click")),
    case(
        "user.active_hours", [0.0] * 3 + [0.25] + [0.0] * 10 + [0.75] + [0.0] * 9, *hours_ago(0, 24, 48, 11.5)("view")
    ),
    case(
        "user.avg_session_duration", 900.0, *hours_ago(20, 10.5, 10, 1, 0.5)("view", user="u"), did("like", ago=5 * DAY)
    ),
    case("user.avg_session_duration", 3_000.0, *hours_ago(1, 1 / 6)("view"), did("view", ago=35 * MINUTE, arrived=0)),
    case("user.device_preference", "tv", *hours_ago(2, 1)("view", device="tv"), did("view", device="web"), did("view")),
    case("user.device_preference", "other", did("view", device="fridge")),
    # tf: Drama and Romance 5 (a purchase now), Comedy 1 (a click, 2, one half-life ago).
    case(
        "user.favourite_categories",
        [
            ("Romance", 5 * ROMANCE / (5 * ROMANCE + 5 * DRAMA + COMEDY)),
            ("Drama", 5 * DRAMA / (5 * ROMANCE + 5 * DRAMA + COMEDY)),
            ("Comedy", COMEDY / (5 * ROMANCE + 5 * DRAMA + COMEDY)),
        ],
        did("purchase", 0),
        did("click", 1, 30 * DAY),
    ),
    case("user.favourite_categories", [], did("dislike", 0), did("rating", 1, value=2.5), did("view", 3)),
    case("user.engagement_score", 1 - exp(-(5 + 0.5) / 20), did("purchase"), did("view", 1, 7 * DAY)),
    case(
        "user.diversity_score",
        -(2 / 3 * ln(2 / 3) + 1 / 3 * ln(1 / 3)) / ln(3),
        *(did("view", 0), did("click", 2), did("view", 1), did("view", 3)),
    ),
    case("user.diversity_score", 1.0, did("view", 0), did("view", 1)),
    case("user.prefers_new_content", 2 / 3, did("view", 0), did("view", 1), did("view", 2), did("view", 3)),
    case(
        "user.price_affinity", (5 * 10 + 0.5 * 20) / 5.5, did("purchase", 0), did("view", 1, 30 * DAY), did("like", 2)
    ),
]

SEEN = (showed(0, 1, ago=30 * MINUTE, request=1), showed(0, ago=20 * MINUTE, request=2))
CLICKED = did("click", ago=10 * MINUTE, request=1)
EARLIER = (showed(0, ago=5 * HOUR), *hours_ago(4.9, 4.8)("click"), showed(0, ago=3 * DAY))
MANY = (*hours_ago(0, 0.5, 1)("view", user="v"), *hours_ago(20)("view"), *hours_ago(5 * 24)("view", user="w"))

ITEM = [
    case("item.category", "Drama"),
    case("item.category", "unknown", item=3),
    case("item.subcategory", "Romance"),
    case("item.subcategory", "unknown", item=1),
    case("item.tags", ["old", "sad"]),
    case("item.created", NOW - 10 * DAY, item=1),
    case("item.days_since_created", 10.0, item=1),
    case("item.recency_score", exp(-10 / 30), item=1),
    # Two ratings and one watched share, of two users.
    case(
        "item.quality_score",
        ((4.5 + 2) / 5 + 0.25 + 5) / (2 + 1 + 10),
        *(did("rating", value=4.5), did("rating", value=2.0, user="v"), did("view", value=0.25), did("view")),
    ),
    case("item.avg_rating", (4.5 + 2 + 15) / (2 + 5), did("rating", value=4.5), did("rating", value=2.0, user="v")),
    case("item.rating_count", ln(3), did("rating", value=4.5), did("rating", value=2.0, user="v")),
    case("item.views_1h", ln(1 + 3), *hours_ago(*IN_1H, *OUT_1H)("view")),
    case("item.views_24h", ln(1 + 6), *hours_ago(*IN_24H, *OUT_24H)("view")),
    case("item.views_7d", ln(1 + 2), *hours_ago(0, 7 * 24 + 14, 7 * 24 + 15)("view")),
    case("item.views_30d", ln(1 + 3), *hours_ago(0, 8 * 24, 30 * 24 + 14, 30 * 24 + 15)("view")),
    case("item.clicks_24h", 6, *hours_ago(*IN_24H, *OUT_24H)("click"), did("view")),
    case("item.conversions_24h", 6, *hours_ago(*IN_24H, *OUT_24H)("purchase"), did("click")),
    case("item.ctr_1h", (1 + 1) / (2 + 50), *SEEN, CLICKED, *EARLIER),
    case("item.ctr_1h", (0 + 1) / (1 + 50), *SEEN, CLICKED, item=1),
    # Two clicks on what was shown once make it clicked once.
    case("item.ctr_24h", (2 + 1) / (3 + 50), *SEEN, CLICKED, *EARLIER),
    case("item.ctr_7d", (2 + 1) / (4 + 50), *SEEN, CLICKED, *EARLIER),
    # A click heard of before what it is due to; one without anything shown; one a day and more behind it.
    case("item.ctr_24h", (1 + 1) / (1 + 50), did("click", request=7), showed(0, ago=MINUTE, request=7)),
    case("item.ctr_24h", 1 / 50, did("click", request=7)),
    case("item.ctr_7d", (0 + 1) / (1 + 50), showed(0, ago=25 * HOUR), did("click")),
    case("item.view_velocity_1h", 3 / 60, *MANY),
    case("item.view_velocity_ratio", (3 + 1) / (4 / 24 + 1), *MANY),
    case(
        "item.trending_score",
        ln((3 + 1) * (2 / 52) / ((5 / 168 + 1) * (3 / 54))),
        *(*MANY, *SEEN, CLICKED, *EARLIER),
    ),
    case("item.avg_watch_completion", 0.5, did("view", value=0.25), did("view", value=0.75, user="v"), did("view")),
    # What is shown, searched, skipped or disliked is no activity.
    case(
        "item.popularity_score",
        ln(4) / (ln(4) + ln(101)),
        *(*hours_ago(0, 30 * 24 + 14, 30 * 24 + 15)("view"), did("like"), did("skip"), did("dislike"), *SEEN),
    ),
    # This hour of the week twice, once of them in May; another hour in May.
    case(
        "item.seasonal_score",
        math.sqrt(168 * (2 + 1) / (3 + 168) * 12 * (2 + 14) / (3 + 168)),
        *hours_ago(0, 5, 7 * 24 * 10)("view"),
    ),
    case("item.text_embedding", [3.0, 4.0]),
]

PAIR = [
    case("pair.category_match", 1, did("view", 2)),
    case("pair.category_match", 0, did("view", 2), item=1),
    # Of the weight of all categories 5 + 5 (a purchase of item 0) + 1 + 1 (of items 1 and 2).
    case("pair.category_affinity", 6 / 12, did("purchase", 0), did("click", 1, 30 * DAY), did("view", 2)),
    case("pair.tag_overlap", 1 / 2, did("like", 2), did("dislike", 1)),
    case("pair.tag_overlap", 0.0, did("dislike", 2)),
    case("pair.content_similarity", 4 / 5),
    case("pair.content_similarity", 0.0, item=2),
    case("pair.collaborative_similarity", 1 / math.sqrt(2), item=1),
    case("pair.has_viewed", 1, did("view", 0)),
    case("pair.has_viewed", 0, did("view", 1), did("click", 0)),
    case("pair.has_clicked", 1, did("click", 0)),
    case("pair.has_clicked", 0, did("view", 0)),
    case(
        "pair.times_shown_without_click",
        2,
        *(showed(0, ago=hours * HOUR) for hours in (1, 3, 5, 25)),
        did("click", ago=4 * HOUR),
    ),
    case("pair.times_shown_without_click", 0, *SEEN, did("click", ago=MINUTE)),
    case("pair.hours_since_category", 6.0, did("view", 2, 6 * HOUR), did("view", 1)),
    case("pair.hours_since_category", 8_760.0, did("view", 1)),
    case("pair.hours_since_category", 8_760.0, did("view", 3), item=3),
    # Half past two in the afternoon UTC is half past eleven at night in Tokyo: nine hours later in the week.
    case(
        "pair.timing_match",
        168 * (2 + 1) / (3 + 168),
        *(profile(timezone="Asia/Tokyo"), *hours_ago(7 * 24 - 9, 14 * 24 - 9, 7 * 24)("view", user="v")),
    ),
    case("pair.timing_match", 168 * (1 + 1) / (3 + 168), *hours_ago(7 * 24 - 9, 14 * 24 - 9, 7 * 24)("view", user="v")),
    # The item has one event of the last 30 days; the mean is of 5 parts item 0 and 1 part item 1.
    case(
        "pair.popularity_user_match",
        1 - abs(ln(2) / (ln(2) + ln(101)) - (5 * 0.5 + 1 * 0.25) / 6),
        *(did("purchase", 0), did("view", 1)),
    ),
    # Its recency is e^(-1/3); the user's rows were new in one of two cases.
    case("pair.recency_match", 1 - abs(exp(-1 / 3) - 1 / 2), did("view", 1), did("view", 3), item=1),
    # Nothing is known of item 3; the mean is of 4 parts item 0 and 2 parts item 2.
    case(
        "pair.quality_match",
        1 - abs(0.5 - (4 * 0.75 + 2 * 0.25) / 6),
        did("rating", 0, value=3.0),
        did("click", 2),
        item=3,
    ),
]

CONTEXT = [
    case("context.hour", 14),
    case("context.hour", 23, profile(timezone="Asia/Tokyo")),
    case("context.weekday", 2),
    case("context.weekday", 3, profile(timezone="Pacific/Kiritimati")),
    case("context.device", "tv", device="tv"),
    case("context.page", "cart", page="cart"),
    case("context.location", "DE-BE", profile(country="FR"), location="DE-BE"),
    case("context.location", "FR", profile(country="FR")),
    case("context.session_depth", 3, *EVENING, did("click", 1, MINUTE)),
    case("context.session_depth", 0, *EVENING[:2]),
    case("context.season", "spring"),
    case("context.season", "autumn", location="AU-NSW"),
]

CASES = [*USER, *ITEM, *PAIR, *CONTEXT]


def test_every_feature_has_a_case():
    assert {each.feature for each in CASES} == set(features())


@pytest.mark.parametrize("said", CASES, ids=lambda said: said.feature)
def test_a_feature_is_what_its_formula_says(said):
    entity, name = said.feature.split(".")
    found = getattr(values_of(said.history, **said.context), entity)[name]
    if entity in ("item", "pair"):
        found = of_item(name, found, said.item)
    if isinstance(said.expected, list) and said.expected and isinstance(said.expected[0], tuple):
        assert [category for category, _ in found] == [category for category, _ in said.expected]
        assert [share for _, share in found] == pytest.approx([share for _, share in said.expected])
    elif isinstance(said.expected, float) or (isinstance(said.expected, list) and name != "tags"):
        assert list(np.atleast_1d(found)) == pytest.approx(list(np.atleast_1d(said.expected)), rel=1e-6)
    else:
        assert found == said.expected


def of_item(name, column, item):
    """Return an item's value of a column, categories and tags by name."""
    if name in ("category", "subcategory"):
        return category_names(SHOP, column)[item]
    if name == "tags":
        return [tag for bit, tag in enumerate(SHOP.names.tags) if int(column[item, bit // 64]) >> bit % 64 & 1]
    return column[item]

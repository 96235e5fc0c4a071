"""The features that the product promises, by name: each is in the registry and in its page, and no other is."""

import re
from pathlib import Path

import pytest

from kindred.features.registry import features

PROMISED = {
    "user": """
        age_bucket gender country
        views_total views_1h views_24h views_90d clicks_total clicks_1h clicks_24h clicks_90d
        ratings_total ratings_1h ratings_24h ratings_90d
        sessions_24h items_viewed_24h items_viewed_session current_session_duration last_category_viewed
        avg_watch_duration avg_watch_completion avg_rating active_days active_hours avg_session_duration
        device_preference favourite_categories engagement_score diversity_score prefers_new_content price_affinity
    """,
    "item": """
        category subcategory tags created days_since_created recency_score quality_score avg_rating rating_count
        views_1h views_24h views_7d views_30d clicks_24h conversions_24h ctr_1h ctr_24h ctr_7d
        view_velocity_1h view_velocity_ratio trending_score avg_watch_completion popularity_score seasonal_score
        text_embedding
    """,
    "pair": """
        category_match category_affinity tag_overlap content_similarity collaborative_similarity has_viewed has_clicked
        times_shown_without_click hours_since_category timing_match popularity_user_match recency_match quality_match
    """,
    "context": "hour weekday device page location session_depth season",
}
PAGE = Path(__file__).parents[3] / "docs" / "guide" / "features.md"


@pytest.mark.parametrize("entity", PROMISED)
def test_the_registry_holds_what_is_promised_and_nothing_else(entity):
    assert sorted(features(entity)) == sorted(PROMISED[entity].split())


def test_no_feature_is_of_another_entity():
    assert {feature.entity for feature in features().values()} == set(PROMISED)


def test_the_page_shows_the_registry():
    """Each row of the tables in the page is a feature, with its unit and formula as registered."""
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    shown = {f"{entity}.{name}": (unit, formula) for entity, name, unit, formula, _, _ in rows}
    assert len(rows) == len(shown)
    said = {name: (each.unit, each.formula.replace("|", "\\|")) for name, each in features().items()}
    assert shown == said

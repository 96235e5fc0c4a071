"""Settings that can be read and cannot hold their promise are named."""

from pathlib import Path

import pytest

from kindred.app.sections import SCHEMA
from kindred.cli.findings import Level
from kindred.cli.promises import broken_promises
from kindred.settings.load import load_settings


def test_the_defaults_hold(home: Path) -> None:
    assert broken_promises(load_settings(SCHEMA, {}, home)) == []


@pytest.mark.parametrize(
    ("variables", "about", "level"),
    [
        ({"RECOMMEND_RANKED": "2000"}, "recommend.ranked", Level.TROUBLE),
        ({"RECOMMEND_RANKED": "20"}, "recommend.ranked", Level.ADVICE),
        ({"RECOMMEND_EXPLORATION": "1.5"}, "recommend.exploration", Level.TROUBLE),
        ({"PLACEMENTS_HOME_DIVERSITY": "-1"}, "placements.home.diversity", Level.TROUBLE),
        ({"PLACEMENTS_HOME_COUNT": "0"}, "placements.home.count", Level.TROUBLE),
        ({"PLACEMENTS_HOME_COUNT": "50", "PLACEMENTS_HOME_RANKED": "40"}, "placements.home.count", Level.TROUBLE),
        ({"PLACEMENTS_HOME_WEIGHTS": "{contents = 1}"}, "placements.home.weights.contents", Level.TROUBLE),
        ({"BLEND_STANDARD": "{content = 0}"}, "blend.standard", Level.TROUBLE),
        ({"BLEND_STANDARD": "{content = -1, popularity = 1}"}, "blend.standard", Level.TROUBLE),
        ({"DEADLINES_FACTS": "0"}, "deadlines.facts", Level.TROUBLE),
        ({"PREFERENCE_NEGATIVE_RATING": "4"}, "preference.negative_rating", Level.TROUBLE),
    ],
)
def test_a_broken_promise_is_named(home: Path, variables: dict[str, str], about: str, level: Level) -> None:
    found = broken_promises(load_settings(SCHEMA, {f"KINDRED_{k}": v for k, v in variables.items()}, home))
    assert (about, level) in {(finding.about, finding.level) for finding in found}
    assert all(finding.said and finding.fix for finding in found)

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
        ({"PLACEMENTS_HOME_COUNT": "50", "PLACEMENTS_HOME_RANKED": "40"}, "placements.home.count", Level.TROUBLE),
        ({"BLEND_COLD_USER": "{contents = 1}"}, "blend.cold_user.contents", Level.TROUBLE),
        ({"BLEND_STANDARD": "{content = 0}"}, "blend.standard", Level.TROUBLE),
        ({"BLEND_STANDARD": "{content = -1, popularity = 1}"}, "blend.standard", Level.TROUBLE),
        ({"DEADLINES_FACTS": "0.5"}, "deadlines.facts", Level.TROUBLE),
        ({"PREFERENCE_NEGATIVE_RATING": "4"}, "preference.negative_rating", Level.TROUBLE),
    ],
)
def test_a_broken_promise_is_named(home: Path, variables: dict[str, str], about: str, level: Level) -> None:
    found = broken_promises(load_settings(SCHEMA, {f"KINDRED_{k}": v for k, v in variables.items()}, home))
    assert (about, level) in {(finding.about, finding.level) for finding in found}
    assert all(finding.said and finding.fix for finding in found)

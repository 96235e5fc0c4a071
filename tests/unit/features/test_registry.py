"""The registry against the records it describes."""

from kindred.features.groups import ITEM, TRENDING, USER
from kindred.features.registry import features
from kindred.models.trending import WINDOWS


def test_every_feature_stands_in_a_group_and_has_a_formula():
    """Names are unique and groups exist."""
    found = features()
    assert {feature.group for feature in found.values()} == {USER, ITEM, TRENDING}
    assert all(feature.formula and feature.unit for feature in found.values())
    assert all(feature.ttl is None or feature.ttl > 0 for feature in found.values())


def test_every_trending_window_is_listed_with_its_own_length():
    """A list holds as long as its window."""
    found = features()
    assert {name: found[f"trending_{name}"].ttl for name in WINDOWS} == {
        name: hours * 3600 for name, hours in WINDOWS.items()
    }

"""The registry against the values that are computed."""

import numpy as np
import pytest

from kindred.core.query import Context
from kindred.features.items import ItemRecord, heads_of
from kindred.features.registry import UNKNOWN, features
from kindred.features.values.attributes import attributes_of
from kindred.features.values.items import category_names
from kindred.features.values.slate import all_values

ENTITIES = ("user", "item", "pair", "context")
SIZE = 3


@pytest.fixture(scope="module")
def nothing():
    """Return the values where nothing at all is known."""
    ordinals = np.arange(SIZE, dtype=np.int32)
    context = Context(time=1_700_000_000_000)
    return all_values(None, ordinals, heads_of([ItemRecord()] * SIZE), attributes_of([None] * SIZE), context)


@pytest.mark.parametrize("entity", ENTITIES)
def test_values_and_registry_name_the_same_features(nothing, entity):
    assert set(getattr(nothing, entity)) == set(features(entity))


@pytest.mark.parametrize("entity", ENTITIES)
def test_without_data_a_value_is_its_documented_default(nothing, entity):
    for name, feature in features(entity).items():
        value = getattr(nothing, entity)[name]
        if feature.default is None and entity != "context":
            assert not np.any(value), name
        elif feature.default is None:
            assert value in range(24) or name == "season"
        elif entity in ("item", "pair"):
            found = category_names(attributes_of([]), value) if feature.default == UNKNOWN else value.tolist()
            assert found == [feature.default] * SIZE, name
        else:
            assert value == feature.default, name


def test_every_feature_says_what_a_reader_must_know():
    found = features()
    assert len(found) == sum(len(features(entity)) for entity in ENTITIES)
    assert all(feature.formula and feature.unit for feature in found.values())
    assert all(feature.ttl is None or feature.ttl > 0 for feature in found.values())

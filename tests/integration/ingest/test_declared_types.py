"""Event types by configuration, from the log to what serving and training make of them."""

import math
from pathlib import Path

import numpy as np
from tests.integration.ingest.stores import NOW, World, happened

from kindred.app.sections import SCHEMA, consumer_config, preference_config
from kindred.core.position import START
from kindred.ingest.items import items_active
from kindred.models.preference import Interactions, preferences
from kindred.recommend.hydrators.user import user_facts
from kindred.settings.load import load_settings

SETTINGS = """
[events.types.view]
threshold = 0.5
[events.types.rating]
threshold = 4.0
[events.types.booking]
weight = 4.5
[events.types.report]
weight = 3.0
polarity = "negative"
[events.types.peek]
polarity = "neutral"
[events.types.glance]
half_life = 900.0
"""
HALF_AN_HOUR = 1_800_000
DEEDS = [
    ("view", {"watch_duration": 40, "total_duration": 100}),
    ("view", {"watch_duration": 60, "total_duration": 100}),
    ("view", {}),
    ("booking", {}),
    ("report", {}),
    ("peek", {}),
    ("rating", {"rating": 3.5}),
    ("rating", {"rating": 4.0}),
    ("rating", {"rating": 2.5}),
    ("glance", {}),
]
# What each deed weighs, of an item of its own; None says nothing, below 0 speaks against the item.
WEIGHTS = [None, 1.0, 1.0, 4.5, -3.0, None, None, 4 * 4 / 5, -4 * 2.5 / 5, 2**-2.0]


async def test_declared_types_speak_in_answers_and_in_training_alike(tmp_path: Path) -> None:
    """A view counts from half watched, a report hides, a glance fades within the hour; all of it was seen."""
    (tmp_path / "kindred.toml").write_text(SETTINGS)
    settings = load_settings(SCHEMA, {}, tmp_path)
    world = World(tmp_path / "lake", consumer_config(settings))
    items = [f"i{number}" for number in range(len(DEEDS))]
    ordinals = await world.catalog.resolve(items, NOW)
    at = NOW - HALF_AN_HOUR
    deeds = zip(items, DEEDS, strict=True)
    await world.record(*(happened(n, "ann", item, kind, at=at, **more) for n, (item, (kind, more)) in enumerate(deeds)))
    await world.drain()

    record, preference = await world.user("ann"), preference_config(settings)
    found = items_active([await world.item(item) for item in items])
    assert [number for number, entries in enumerate(found) if not entries] == [4]
    facts = user_facts(record, START, NOW, preference, START)
    expected = {
        ordinal: (1 + 2 * math.log1p(abs(weight)), weight > 0)
        for ordinal, weight in zip(ordinals, WEIGHTS, strict=True)
        if weight is not None
    }
    found = zip(facts.history.tolist(), facts.confidence.tolist(), facts.positive.tolist(), strict=True)
    assert {item: (round(confidence, 5), good) for item, confidence, good in found} == {
        item: (round(confidence, 5), good) for item, (confidence, good) in expected.items()
    }
    assert facts.hidden.tolist() == [ordinals[4], ordinals[8]]
    assert facts.seen.tolist() == ordinals

    rows = await world.interactions.by_user("ann", 100)
    names = tuple({row.event_type for row in rows})
    trained = preferences(
        Interactions(
            np.zeros(len(rows), np.int32),
            np.array([row.item for row in rows], np.int32),
            np.array([row.timestamp for row in rows], np.int64),
            np.array([names.index(row.event_type) for row in rows], np.int16),
            np.array([row.value for row in rows], np.float32),
            names,
        ),
        NOW,
        preference,
    )
    assert dict(zip(trained.items.tolist(), trained.signed().tolist(), strict=True)) == {
        item: confidence if good else -confidence
        for item, confidence, good in zip(
            facts.history.tolist(), facts.confidence.tolist(), facts.positive.tolist(), strict=True
        )
    }

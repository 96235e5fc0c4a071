"""Event types by configuration: how they speak, what their metadata must hold, and what is refused at the start."""

import math
from typing import Any

import numpy as np
import pytest

from kindred.core.config import decode
from kindred.core.errors import ConfigError, InvalidInput
from kindred.ingest.event_types import EventRules, EventTypesConfig, completion
from kindred.ingest.validate import read_track
from kindred.models.preference import Interactions, PreferenceConfig, PreferenceSettings, preferences

NOW = 1_700_000_000_000
DAY = 86_400_000


def rules(**types: Any) -> EventRules:
    return EventRules(decode(EventTypesConfig, {"types": types}, "events"))


def track(found: EventRules, event_type: str, metadata: dict[str, Any] | None = None, item: str | None = "i") -> Any:
    body = {"user_id": "u", "item_id": item, "event_type": event_type, "metadata": metadata or {}}
    return read_track({key: value for key, value in body.items() if value is not None}, found, NOW)


def test_nothing_configured_is_the_default_preference() -> None:
    assert EventRules().preference(PreferenceSettings()) == PreferenceConfig()


def test_types_speak_as_they_are_declared() -> None:
    found = rules(
        view={"threshold": 0.5, "half_life": 3600.0},
        rating={"threshold": 4.0},
        click={"polarity": "neutral"},
        share={"weight": 2.5},
        report={"weight": 3.0, "polarity": "negative"},
        peek={},
    ).preference(PreferenceSettings(alpha=3.0))
    weights = found.event_weights
    assert (weights["view"], weights["click"], weights["share"]) == (1.0, 0.0, 2.5)
    assert (weights["report"], weights["peek"], weights["purchase"]) == (-3.0, 1.0, 5.0)
    assert found.thresholds == {"rating": 4.0, "view": 0.5}
    assert found.positive_rating == 4.0
    assert found.half_lives == {"view": 3600.0}
    assert found.alpha == 3.0
    assert found.decisive == (*PreferenceSettings().decisive, "report")


def rows(*events: tuple[str, float, int]) -> Interactions:
    names = tuple(dict.fromkeys(name for name, _, _ in events))
    n = len(events)
    return Interactions(
        np.zeros(n, np.int32),
        np.arange(n, dtype=np.int32),
        np.array([NOW - age for _, _, age in events], np.int64),
        np.array([names.index(name) for name, _, _ in events], np.int16),
        np.array([value for _, value, _ in events], np.float32),
        names,
    )


def test_a_value_below_the_threshold_does_not_count_and_none_does() -> None:
    events = rows(("view", 0.29, 0), ("view", 0.3, 0), ("view", math.nan, 0), ("rating", 2.0, 0), ("buy", 1.0, 0))
    assert preferences(events, NOW).items.tolist() == [1, 2, 3, 4]
    configured = rules(view={"threshold": 0}, buy={"threshold": 2.0}).preference(PreferenceSettings())
    assert preferences(events, NOW, configured).items.tolist() == [0, 1, 2, 3]


def test_a_half_life_of_its_own_goes_before_the_common_one() -> None:
    events = rows(("view", math.nan, DAY), ("click", math.nan, DAY), ("click", math.nan, 0))
    one = rules(view={"half_life": 86_400.0}).preference(PreferenceSettings())
    assert preferences(events, NOW, one).weights.tolist() == pytest.approx([0.5, 2.0, 2.0])
    both = rules(view={"half_life": 86_400.0}).preference(PreferenceSettings(half_life=43_200.0))
    assert preferences(events, NOW, both).weights.tolist() == pytest.approx([0.5, 0.5, 2.0])


@pytest.mark.parametrize(
    ("rule", "good", "bad", "says"),
    [
        ({}, 3, -1, "at least 0"),
        ({"minimum": -5.0}, -5, -6, "at least -5"),
        ({"whole": True}, 3.0, 3.5, "whole"),
        ({}, 0.5, "x", "must be a number, is a string"),
        ({"type": "string"}, "x", 3, "must be a string, is a number"),
        ({"type": "string", "max_length": 3}, "abc", "abcd", "at most 3 characters, has 4"),
        ({"type": "string", "choices": ["wide", "tall"]}, "tall", "tal", "did you mean `tall`"),
        ({"type": "boolean"}, False, 0, "true or false"),
        ({"type": "ids"}, ["a", 7], ["a", True], "number 2 is true or false"),
        ({"type": "ids"}, ["a"], "a", "a list of ids"),
        ({"type": "ids"}, ["a"], ["a", ""], "number 2 must have 1 to 128"),
        ({"type": "ids", "max_items": 2}, ["a", "b"], ["a", "b", "c"], "1 to 2 ids, has 3"),
        ({"required": True}, 1, None, "required"),
    ],
)
def test_metadata_is_held_to_its_rules(rule: dict[str, Any], good: Any, bad: Any, says: str) -> None:
    found = rules(share={"metadata": {"key": rule}})
    assert track(found, "share", {"key": good}).metadata == {"key": good}
    with pytest.raises(InvalidInput) as caught:
        track(found, "share", {"key": bad})
    assert [fault.pointer for fault in caught.value.faults] == ["/metadata/key"]
    assert says in caught.value.faults[0].detail


def test_keys_without_a_rule_are_taken_or_not_by_setting() -> None:
    assert track(rules(), "click", {"colour": "red"}).metadata == {"colour": "red"}
    found = rules(
        click={"other_metadata": False, "metadata": {"color": {"type": "string"}}}, like={"other_metadata": False}
    )
    assert track(found, "click", {"color": "red"}).metadata == {"color": "red"}
    with pytest.raises(InvalidInput, match="did you mean `color`"):
        track(found, "click", {"colour": "red"})
    with pytest.raises(InvalidInput, match="no key is taken"):
        track(found, "like", {"colour": "red"})


def test_one_impression_shows_many_items() -> None:
    found = rules()
    assert track(found, "impression", {"items": ["a", 7]}, item=None).metadata == {"items": ["a", "7"]}
    assert track(found, "impression").item_id == "i"
    for metadata, item, pointer in [
        ({}, None, "/item_id"),
        ({"items": ["a"]}, "i", "/item_id"),
        ({"items": []}, None, "/metadata/items"),
        ({"items": ["a"] * 101}, None, "/metadata/items"),
        ({"items": [1.5]}, None, "/metadata/items"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            track(found, "impression", metadata, item)
        assert [fault.pointer for fault in caught.value.faults] == [pointer]


@pytest.mark.parametrize("rule", [{"type": "string"}, {"required": True, "max_items": 1000}])
def test_shown_items_stay_a_list_of_at_most_100(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="100"):
        track(rules(impression={"metadata": {"items": rule}}), "impression", {"items": ["a"] * 101}, item=None)


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ({"x": {"weight": 2.0, "polarity": "neutral"}}, "neutral type weighs 0"),
        ({"x": {"weight": -2.0, "polarity": "positive"}}, "not positive"),
        ({"x": {"weight": math.inf}}, "x.weight must be a finite number"),
        ({"x": {"weight": math.nan}}, "x.weight must be a finite number"),
        ({"x": {"half_life": 0}}, "half_life"),
        ({"x": {"polarity": "bad"}}, "polarity"),
        ({"x": {"metadata": {"k": {"minimum": 3.0, "maximum": 2.0}}}}, "over maximum"),
        ({"x": {"metadata": {"": {}}}}, "1 to 128"),
    ],
)
def test_contradictions_are_refused_at_the_start(types: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        rules(**types)


@pytest.mark.parametrize(
    ("metadata", "share"),
    [
        ({"watch_duration": 30, "total_duration": 120}, 0.25),
        ({"watch_duration": 300, "total_duration": 120}, 1.0),
        ({"watch_duration": 30}, None),
        ({"watch_duration": 30, "total_duration": 0}, None),
        ({"watch_duration": True, "total_duration": 2}, None),
        ({"watch_duration": "1", "total_duration": 2}, None),
        ({}, None),
    ],
)
def test_the_watched_share(metadata: dict[str, Any], share: float | None) -> None:
    found = completion(metadata)
    assert math.isnan(found) if share is None else found == share


def test_types_that_would_be_counted_as_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="'replay_skip_intro_36' and 'pause_cast_68' cannot both be counted"):
        rules(pause_cast_68={}, replay_skip_intro_36={})
    assert "pause_cast_68" in rules(pause_cast_68={}).names

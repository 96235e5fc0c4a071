"""Ids, positions, times, events, configuration, candidates, random numbers."""

import math
import unicodedata

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.candidates import Candidates
from kindred.core.clock import LATEST, format_time, parse_time
from kindred.core.config import Config, decode, nearest
from kindred.core.errors import ConfigError, InvalidInput
from kindred.core.event import (
    Event,
    EventContext,
    Imported,
    Interaction,
    ItemDeleted,
    ItemSwitchedOff,
    ItemUpserted,
    ProfileErased,
    ProfileUpdated,
    Served,
    decode_event,
    encode_event,
    partition_key,
)
from kindred.core.ids import check_id, id_fault, id_time, new_id
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.core.rng import seed_of, seeded, uniforms

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | whole | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(text, values, max_size=4)


# --- ids


@given(st.text(max_size=200))
def test_the_rule_of_ids(value):
    breaks = (
        not 1 <= len(value) <= 128
        or any(unicodedata.category(c) in ("Cc", "Cs") for c in value)
        or len(value.encode("utf-8", "surrogatepass")) > 256
    )
    assert (id_fault(value) is not None) == breaks


@pytest.mark.parametrize("value", ["a", "a" * 128, "é" * 128, "日" * 85, "a b/c%20", "movie_1", "\u200b"])
def test_ids_that_stand(value):
    assert check_id(value, "/user_id") == value


@pytest.mark.parametrize("value", ["", "a" * 129, "日" * 86, "a\x00", "a\n", "\x7f", "é\x1b", "\ud800", "x\x85y"])
def test_ids_that_fall_name_the_field(value):
    with pytest.raises(InvalidInput) as error:
        check_id(value, "/items/3/item_id")
    assert error.value.faults[0].pointer == "/items/3/item_id"


def test_made_ids_sort_by_time_and_tell_it(monkeypatch):
    made = []
    for milliseconds in (1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 1 << 49):
        monkeypatch.setattr("kindred.core.ids.time.time_ns", lambda ms=milliseconds: ms * 1_000_000)
        made.append(new_id("rec"))
        assert id_time(made[-1]) == milliseconds
    assert made == sorted(made)
    assert id_fault(made[0]) is None
    assert len({new_id("x") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("other", ["", "rec_", "rec_" + "u" * 23, "rec_" + "0" * 22, "movie"])
def test_ids_of_others_tell_no_time(other):
    assert id_time(other) is None


# --- positions


offsets = st.integers(0, 10**18 - 1)
positions = st.builds(Position, offsets, offsets, st.integers(-1, 10**18 - 1))


@given(positions)
def test_positions_are_read_as_written(position):
    assert Position.parse(str(position)) == position


@given(positions, positions)
def test_positions_are_ordered_as_tuples(a, b):
    assert (a < b) == (tuple(a) < tuple(b))
    assert START < Position(0, 0, 0) < Position(0, 0, 1) < Position(1, 0, 0)


@pytest.mark.parametrize(
    "written", ["", "1.2", "1.2.3.4", "a.b.c", "1_0.0.0", " 1.0.0", "+1.0.0", "-1.0.0", "0.0.-2", "01.0.0", "１.0.0"]
)
def test_other_forms_of_positions_are_refused(written):
    with pytest.raises(InvalidInput):
        Position.parse(written)


def test_a_monstrous_position_is_refused_briefly():
    with pytest.raises(InvalidInput) as error:
        Position.parse("9" * 10_000 + ".0.0")
    assert len(str(error.value)) < 300


# --- clock


@given(st.integers(-62_135_596_800_000, LATEST + 999))
def test_times_are_read_as_written_to_the_millisecond(time):
    assert parse_time(format_time(time), "/timestamp") == time


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T02:00:00+02:00", 0),
        ("2023-11-14T22:13:20.123Z", 1_700_000_000_123),
        ("2023-11-14T22:13:20.1239Z", 1_700_000_000_123),
        ("9999-12-31T23:59:59.999Z", LATEST + 999),
        ("9999-12-31T23:59:59.9999Z", LATEST + 999),
    ],
)
def test_known_times(written, expected):
    assert parse_time(written, "/t") == expected


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        "2023-11-14T22:13:20",
        "2023-13-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_times_that_are_none_name_the_field(written):
    with pytest.raises(InvalidInput) as error:
        parse_time(written, "/timestamp")
    assert error.value.faults[0].pointer == "/timestamp"


# --- events


common = {"event_id": text, "timestamp": whole, "ingested_at": whole}
contexts = st.builds(
    EventContext,
    device=st.none() | text,
    page=st.none() | text,
    position=st.none() | whole,
    request_id=st.none() | text,
)
items = st.builds(
    Item,
    item_id=text,
    title=text,
    categories=st.lists(text, max_size=3),
    tags=st.lists(text, max_size=3),
    rating=st.none() | numbers,
    stock=st.none() | whole,
    active=st.booleans(),
    created=st.none() | whole,
    attributes=metadata,
)
profiles = st.builds(Profile, user_id=text, country=st.none() | text, attributes=metadata)
events = st.one_of(
    st.builds(Interaction, **common, user_id=text, item_id=text, event_type=text, context=contexts, metadata=metadata),
    st.builds(ItemUpserted, **common, item=items),
    st.builds(ItemDeleted, **common, item_id=text),
    st.builds(ItemSwitchedOff, **common, item_id=text),
    st.builds(ProfileUpdated, **common, profile=profiles),
    st.builds(ProfileErased, **common, user_id=text),
    st.builds(
        Served,
        **common,
        user_id=text,
        request_id=text,
        placement=text,
        bundle=text,
        items=st.lists(text, max_size=3),
        propensities=st.lists(numbers, max_size=3),
        sources=st.lists(text, max_size=3),
        exposure=st.booleans(),
    ),
    st.builds(Imported, **common, import_id=text, source=text, interactions=whole),
)


@given(events)
def test_every_event_is_read_as_written(event: Event):
    again = decode_event(encode_event(event))
    assert again == event
    assert type(again) is type(event)


@given(events)
def test_every_event_has_a_partition_key(event: Event):
    named = {getattr(event, name, None) for name in ("user_id", "item_id", "import_id")} | {
        getattr(getattr(event, "item", None), "item_id", None),
        getattr(getattr(event, "profile", None), "user_id", None),
    }
    assert partition_key(event) in named - {None}


@given(st.binary(max_size=40))
def test_other_bytes_are_no_event_and_no_crash(data):
    try:
        decode_event(data)
    except InvalidInput:
        return
    pytest.fail("forty random bytes were taken for an event")


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, object(), "\ud800"])
def test_what_the_log_cannot_hold_is_bad_input(value):
    event = Interaction(
        event_id="e", timestamp=0, ingested_at=0, user_id="u", item_id="i", event_type="view", metadata={"x": value}
    )
    with pytest.raises(InvalidInput):
        encode_event(event)


# --- configuration


class Engine(Config, frozen=True, kw_only=True):
    """A config."""

    cylinders: int = 4
    fuel: str = "diesel"
    cap: float | None = None


def test_config_takes_tables_and_strings_of_the_environment():
    assert decode(Engine, {}, "engine") == Engine()
    assert decode(Engine, {"cylinders": "6", "cap": "0.5"}, "engine") == Engine(cylinders=6, cap=0.5)


def test_an_unknown_key_names_the_nearest_known_one():
    with pytest.raises(ConfigError, match=r"engine\.cilinders: unknown; did you mean `cylinders`\?"):
        decode(Engine, {"cilinders": 6}, "engine")
    with pytest.raises(ConfigError, match="known are cap, cylinders, fuel"):
        decode(Engine, {"zzzzzz": 6}, "engine")
    with pytest.raises(ConfigError, match=r"^fuell: "):
        decode(Engine, {"fuell": ""}, "")


def test_a_wrong_type_names_its_key():
    with pytest.raises(ConfigError, match=r"engine: .*cylinders"):
        decode(Engine, {"cylinders": "many"}, "engine")


def test_config_is_frozen():
    with pytest.raises(AttributeError):
        Engine().cylinders = 5


def test_nearest_is_none_where_nothing_is_near():
    assert nearest("exclude_sen", ["exclude_seen", "tags"]) == "exclude_seen"
    assert nearest("q", ["exclude_seen", "tags"]) is None


# --- candidates


@st.composite
def parts(draw):
    found = []
    for _ in range(draw(st.integers(0, 5))):
        items = draw(st.lists(st.integers(0, 12), unique=True, max_size=8))
        columns = {}
        for name in draw(st.sets(st.sampled_from("abc"))):
            column = draw(
                st.lists(st.sampled_from([math.nan, 0.0, 1.5, -2.0]), min_size=len(items), max_size=len(items))
            )
            columns[name] = np.array(column, np.float32)
        found.append(Candidates(np.array(items, np.int32), columns))
    bits = draw(st.lists(st.integers(0, 31), unique=True, min_size=len(found), max_size=len(found)))
    return found, bits


@given(parts())
def test_merging_is_what_a_loop_would_do(drawn):
    found, bits = drawn
    expected: dict[int, dict] = {}
    names = {name for part in found for name in part.columns}
    for part, bit in zip(found, bits, strict=True):
        for rank, item in enumerate(part.items.tolist()):
            row = expected.setdefault(item, {"bits": 0, "best_rank": math.inf, **dict.fromkeys(names, math.nan)})
            row["bits"] |= 1 << bit
            row["best_rank"] = min(row["best_rank"], rank)
            for name, column in part.columns.items():
                row[name] = float(column[rank]) if math.isnan(row[name]) else row[name]
    merged = Candidates.merge(found, bits)
    expected = dict(sorted(expected.items()))
    assert merged.items.tolist() == list(expected)
    assert merged.items.dtype == np.int32
    assert merged.provenance.tolist() == [row["bits"] for row in expected.values()]
    for name in names | ({"best_rank"} if found else set()):
        np.testing.assert_array_equal(merged.columns[name], [row[name] for row in expected.values()])
        assert merged.columns[name].dtype == np.float32


def test_merging_leaves_its_parts_alone():
    part = Candidates(np.array([1, 2], np.int32), {"a": np.array([1, np.nan], np.float32)})
    Candidates.merge([part, Candidates(np.array([2], np.int32), {"a": np.array([5], np.float32)})], [0, 1])
    np.testing.assert_array_equal(part.columns["a"], [1, np.nan])


def test_rows_and_columns_of_candidates():
    found = Candidates(
        np.array([5, 3, 9], np.int32), {"a": np.array([1, 2, 3], np.float32)}, np.array([1, 2, 4], np.uint32)
    )
    taken = found.take(np.array([2, 0]))
    assert (taken.items.tolist(), taken.columns["a"].tolist(), taken.provenance.tolist()) == ([9, 5], [3, 1], [4, 1])
    assert found.take(np.array([False, True, False])).items.tolist() == [3]
    assert found.column("b", 7).tolist() == [7, 7, 7]
    assert np.isnan(found.column("b")).all()
    assert set(found.with_columns({"b": found.column("a")}).columns) == {"a", "b"}
    assert len(Candidates.merge([], [])) == 0 == len(Candidates.empty())


# --- random numbers


def test_draws_are_a_function_of_their_seed():
    assert seeded("a", 1).integers(0, 1 << 30, 5).tolist() == seeded("a", 1).integers(0, 1 << 30, 5).tolist()
    assert seeded("a", 1).random() != seeded("a", 2).random()
    assert seed_of("ab", "c") != seed_of("a", "bc")
    # The same on every machine and in every process: replays depend on it.
    assert seed_of("exploration", 7) == 17435417031773259984
    assert seeded("a", 1).integers(0, 1 << 30, 3).tolist() == [584005569, 1039572055, 564356276]


def test_a_few_numbers_are_even_and_a_function_of_their_seed():
    assert (
        uniforms(2, "exploration", 7) == uniforms(3, "exploration", 7)[:2] == [0.3533211481869586, 0.09749865330581675]
    )
    found = np.array([uniforms(40, "x", seed) for seed in range(500)])
    assert found.min() >= 0
    assert found.max() < 1
    counts = np.histogram(found, 20, (0, 1))[0]
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 60
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.2


def test_seeds_fit_the_log():
    assert all(0 <= seed_of("x", n) < 1 << 64 for n in range(100))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(seed_of("x"))) == seed_of("x")

"""Expressions are read as they are meant, have one text for one meaning, and say where they go wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput
from kindred.recommend.where.grammar import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, canonical_text, parse

SAME = [
    ('metadata.brand.country = "DE"', "attributes.brand.country = 'de'", 'brand . country=="De"'),
    ("price >= 5 and rating > 3", "rating>3 AND price>=5.0", "(price >= 5 and (rating > 3)) and price >= 5"),
    ("year not in [1, 2]", "not year in [2, 1, 2]", "not not not (year in [1,2])"),
    ("creator != null", "has creator", "has metadata.creator", "not creator = null"),
    ("year != 3", "not year = 3", "year not in [3]"),
    ("created > 2020-01-02", "created > 2020-01-02T02:00:00+02:00"),
    ("a or b = 1 and c = 2".replace("a or", "a = true or"), "(c = 2 and b = 1) or a = TRUE"),
    ("`release date`.x contains 'y'", 'attributes.`release date`.`x` CONTAINS "Y"'),
]


@pytest.mark.parametrize("texts", SAME)
def test_one_meaning_has_one_text(texts: tuple[str, ...]) -> None:
    assert len({canonical_text(text, "/w") for text in texts}) == 1


def test_what_binds_closer_and_what_a_name_means() -> None:
    assert canonical_text("a = 1 or b = 2 and not c = 3", "") == (
        "attributes.a = 1 or attributes.b = 2 and not attributes.c = 3"
    )
    assert canonical_text("metadata.rating > 1 and metadata.rating.n > 1 and rating.n > 1", "") == (
        "attributes.rating.n > 1 and rating > 1"
    )
    assert canonical_text("android = 1 and order.in = 2 and has inch", "") == (
        "attributes.android = 1 and attributes.order.`in` = 2 and has attributes.inch"
    )
    assert canonical_text(r"""t = 'it\'s "so"' """, "") == r'attributes.t = "it\'s \"so\""'.replace(r"\'", "'")


WRONG = [
    ("", "at the end: expected", "an attribute"),
    ("price <> 5", "at character 8, '> 5': expected a value", None),
    ("price >", "at the end: expected a value", None),
    ("(a = 1", "at the end: expected `)`", None),
    ("a = 1 b = 2", "at character 7, 'b = 2': expected `and` or `or`", None),
    ("a % 3", "at character 3, '% 3': expected", "a comparison"),
    ("a = 'open", "at character 5", "a value"),
    ("a > null", "at character 5, 'null': expected a value", None),
    ("a in [null]", "at character 7, 'null]': expected a value", None),
    ("a = 2020-13-01", "at character 5: there is no such date", None),
    ("a = 1e999", "at character 5: the number is too large", None),
    (r'a = "\q"', "at character 5: a backslash", None),
    ("a = __import__('os')", "at character 5", "a value"),
    ("(" * (MAX_DEPTH + 1) + "a = 1" + ")" * (MAX_DEPTH + 1), f"nested {MAX_DEPTH} deep", None),
    (" or ".join(["a = 1"] * (MAX_TERMS + 1)), f"at most {MAX_TERMS} comparisons", None),
    ("a = 1" + " " * MAX_LENGTH, f"at most {MAX_LENGTH} characters", None),
]


@pytest.mark.parametrize(("text", "said", "also"), WRONG)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str, also: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        canonical_text(text, "/filters/where")
    (fault,) = caught.value.faults
    assert fault.pointer == "/filters/where"
    assert said in fault.detail
    assert (also or "") in fault.detail


PIECES = ["a", "price", "=", "!=", "<", "in", "contains", "has", *"()[],.'\"", "not", "and", "or", "1", "-2", "null"]


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = canonical_text(text, "")
    except InvalidInput:
        return
    assert canonical_text(found, "") == found
    assert parse(found, "")

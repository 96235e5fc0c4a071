"""Generated pictures: decided by the id, well-formed whatever the title."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.api.cards import card, initials, thumbnail_url


@pytest.mark.parametrize(
    ("title", "expected"),
    [("The Lord of the Rings", "LR"), ("Heat", "H"), ("the a", "TA"), ("", "?"), ("!!", "?"), ("élan vital", "ÉV")],
)
def test_initials_are_of_the_telling_words(title: str, expected: str) -> None:
    assert initials(title) == expected


@given(st.text(max_size=128), st.text(max_size=300))
def test_cards_are_well_formed_and_the_same_each_time(item_id: str, title: str) -> None:
    drawn = card(item_id.encode("utf-8", "replace").decode(), title)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn == card(item_id.encode("utf-8", "replace").decode(), title)


def test_two_items_differ_in_colour_and_addresses_are_quoted() -> None:
    assert card("a", "Same") != card("b", "Same")
    assert thumbnail_url("a/b c?") == "/api/v1/items/a%2Fb%20c%3F/thumbnail.svg"

"""Terms of texts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.models.text import ItemText, TermConfig, weighted_terms, words


def test_fields_weigh_and_categories_and_tags_are_exact() -> None:
    text = ItemText(title="Red red", categories=("Science  FICTION",), tags=("Red",), description="red")
    found = weighted_terms(text, TermConfig(title=3.0, categories=2.0, tags=4.0, description=1.0))
    assert found == pytest.approx({"red": 3 * (1 + math.log(2)) + 1, "cat:science fiction": 2.0, "tag:red": 4.0})


def test_words_of_any_script() -> None:
    assert words("Ａmélie a Straße, été-2 я Москва") == ["amélie", "strasse", "été", "москва"]


@given(st.text(max_size=60), st.lists(st.text(max_size=10), max_size=3))
def test_any_text_gives_finite_positive_weights(title: str, tags: list[str]) -> None:
    found = weighted_terms(ItemText(title=title, tags=tuple(tags)), TermConfig())
    assert all(weight > 0 and math.isfinite(weight) for weight in found.values())
    assert all(len(term) >= 1 for term in found)

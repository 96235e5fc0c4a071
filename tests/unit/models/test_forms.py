"""The fastest form within one per cent of the best is served."""

import pytest

from kindred.core.errors import InvalidInput
from kindred.models.forms import Form, fastest, figures


def form(name: str, milliseconds: float, ndcg: float) -> Form:
    """Return a form of any size."""
    return Form(name, 1_000, milliseconds, ndcg)


@pytest.mark.parametrize(
    ("student", "chosen"),
    [(0.1981, "student"), (0.1979, "int8"), (0.25, "student"), (0.0, "int8")],
)
def test_a_student_is_served_only_within_one_per_cent_of_the_best(student: float, chosen: str) -> None:
    forms = [form("float32", 0.9, 0.2), form("int8", 0.5, 0.199), form("student", 0.1, student)]
    assert fastest(forms).name == chosen


def test_the_whole_network_stays_where_small_ones_are_worse_or_slower() -> None:
    assert fastest([form("float32", 0.9, 0.2), form("int8", 1.0, 0.2), form("student", 0.1, 0.19)]).name == "float32"
    assert fastest([form("float32", 0.9, 0.0)]).name == "float32"


def test_metrics_say_what_each_form_is_worth_and_which_is_served() -> None:
    found = figures([form("float32", 0.9, 0.2), form("int8", 0.5, 0.199)])
    assert (found["int8.bytes"], found["int8.ms"], found["int8.ndcg@10"]) == (1_000, 0.5, 0.199)
    assert (found["float32.served"], found["int8.served"]) == (0, 1)
    assert not figures([])


def test_nothing_to_choose_from_is_said() -> None:
    with pytest.raises(InvalidInput, match="forms"):
        fastest([])

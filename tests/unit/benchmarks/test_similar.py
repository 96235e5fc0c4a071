"""How often random calls ask for the same item."""

import random

import pytest
from benchmarks.similar import CALLS, repeated


@pytest.mark.parametrize("items", [100, 9_742, 20_000])
def test_the_part_of_calls_that_ask_again_is_what_drawing_finds(items: int) -> None:
    drawn = [random.Random(seed).choices(range(items), k=CALLS) for seed in range(20)]
    found = sum(1 - len(set(one)) / CALLS for one in drawn) / len(drawn)
    assert repeated(items, CALLS) == pytest.approx(found, abs=0.01)

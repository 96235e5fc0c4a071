"""Trees that are joined say what they say alone."""

import numpy as np
import pytest
from tests.unit.training.ranking.examples import QUIET, planted

from kindred.models.ranker import ORDER
from kindred.models.trees import TreeHeads, Trees
from kindred.training.ranking.learn import learn_ranker


@pytest.fixture(scope="module")
def heads() -> TreeHeads:
    found = learn_ranker(planted(60), QUIET, seed=3, threads=1).heads
    assert isinstance(found, TreeHeads)
    return found


def test_joined_heads_say_what_each_says_alone(heads):
    columns = planted(5).columns
    columns[::3, 1] = np.nan
    names = [*heads]
    assert len(names) > 1
    for asked in (names, names[::-1], names[:1], [ORDER]):
        together = heads.together(asked, columns)
        assert together.shape == (len(columns), len(asked))
        alone = np.stack([heads[name].margins(columns) for name in asked], axis=1)
        assert np.ptp(alone) > 0
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_joining_leaves_the_heads_as_they_were(heads):
    before = {name: head.data for name, head in heads.items()}
    heads.together([*heads], planted(2).columns)
    again = {name: Trees(data) for name, data in before.items()}
    columns = planted(2).columns
    for name, head in heads.items():
        assert np.array_equal(head.margins(columns), again[name].margins(columns))


def test_one_row_and_none_keep_their_shape(heads):
    columns = planted(2).columns
    assert heads.together([*heads], columns[:1]).shape == (1, len(heads))
    assert heads.together([*heads], columns[:0]).shape == (0, len(heads))

"""Segments part users and items without overlap, and their figures are those of their members."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.segments import COLD, by_activity, by_popularity, popularity_bands


def test_activity_segments_take_each_user_once() -> None:
    interactions = np.array([0, 1, 4, 5, 19, 20, 99, 100, 5000])
    values = np.arange(9.0)
    found = by_activity(values, interactions)
    assert {name: (one.mean, one.users) for name, one in found.items()} == {
        "1 to 4": (1.5, 2),
        "5 to 19": (3.5, 2),
        "20 to 99": (5.5, 2),
        "100 and more": (7.5, 2),
    }
    assert list(by_activity(values[:2], interactions[:2])) == ["1 to 4"]


@given(arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 200)))
def test_bands_part_the_catalogue_and_the_head_holds_half(counts: np.ndarray) -> None:
    bands = popularity_bands(counts)
    assert (sum(band.astype(int) for band in bands.values()) == 1).all()
    head = bands["head"]
    assert counts[head].sum() * 2 >= counts.sum()
    if head.any():
        weakest = counts[head].min()
        assert (counts[head].sum() - weakest) * 2 < counts.sum()
        assert (counts[~head] <= weakest).all()
    assert (counts[bands["cold"]] < COLD).all()


def test_recall_by_band_counts_only_what_was_wanted_of_it() -> None:
    counts = np.array([100, 50, 20, 15, 3, 0])
    ranked = np.array([[0, 4, -1], [2, 3, 1]], np.int32)
    wanted = from_pairs([0, 0, 0, 1, 1], [0, 4, 5, 2, 1], 2)
    found = by_popularity(ranked, wanted, counts)
    assert {name: (one.mean, one.users) for name, one in found.items()} == {
        "head": (1.0, 1),
        "middle": (1.0, 1),
        "cold": (0.5, 1),
    }
    none = by_popularity(ranked, from_pairs([0], [0], 2), counts)
    assert list(none) == ["head"]
    assert none["head"].mean == pytest.approx(1.0)

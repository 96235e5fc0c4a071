"""Which rows stand behind positions."""

import numpy as np

from kindred.training.places import Places


def test_rows_are_compared_within_their_partition_and_epoch() -> None:
    rows = [(0, 0, 5), (0, 0, 6), (1, 0, 0), (0, 1, 5), (0, 1, 9), (0, 2, 0)]
    places = Places(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))
    assert places.behind("0.0.5,0.1.8").tolist() == [False, True, True, False, True, True]
    assert places.behind("1.0.-1,0.1.9,0.2.0").tolist() == [False, False, True, False, False, False]

"""The replay of live learning never looks ahead, and finds what a visit brought."""

from pathlib import Path

import numpy as np
from benchmarks.quality.live import FAMILIES, Before, Options, choose, visits

from kindred.models.preference import Interactions
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset

HOUR = 3_600_000
START = 1_700_000_000_000


def dataset(rows: list[tuple[int, int, int]]) -> Dataset:
    users, items, hours = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    columns = Interactions(
        users.astype(np.int32),
        items.astype(np.int32),
        START + hours * HOUR,
        np.zeros(n, np.int16),
        np.full(n, np.nan, np.float32),
        ("purchase",),
    )
    return Dataset(columns, [f"u{n}" for n in range(users.max() + 1)], [None] * (users.max() + 1), [None] * 9)


def options(**fields: object) -> Options:
    given = {
        "state": Path(),
        "sample": 0,
        "warm": 0.5,
        "every": 24.0,
        "stretches": 2,
        "chosen_on": 1,
        "by": "invoice",
        "ask": "before",
        "resamples": 2000,
    }
    return Options(**{**given, **fields})


def test_a_slate_knows_what_came_before_and_looks_for_what_is_new_to_the_user():
    data = dataset([(0, 1, 0), (0, 2, 10), (0, 1, 10), (0, 3, 20), (1, 4, 12)])
    cut, end = START + 5 * HOUR, START + 21 * HOUR
    asks = visits(data, options(), cut, end, TrainConfigs())
    assert [(ask.user, ask.wanted.tolist(), ask.stretch) for ask in asks] == [(0, [2], 0), (1, [4], 0), (0, [3], 1)]
    for ask in asks:
        assert (data.interactions.timestamps[ask.known] <= ask.now).all()
        assert not np.isin(data.interactions.items[ask.known], ask.wanted).any()


def test_in_the_middle_the_first_half_is_known():
    data = dataset([(0, 1, 0), *((0, item, 10) for item in (2, 3, 4, 5))])
    (ask,) = visits(data, options(ask="middle"), START + 5 * HOUR, START + 11 * HOUR, TrainConfigs())
    assert data.interactions.items[ask.known].tolist() == [1, 2, 3]
    assert ask.wanted.tolist() == [4, 5]


def test_trends_leave_out_the_very_moment():
    data = dataset([*((user, 1, 0) for user in range(5)), *((user, 2, 1) for user in range(5))])
    clock = Before(data.interactions, 9, TrainConfigs().trending)
    assert clock.at(START + HOUR)["24h"][0].tolist() == [1]
    assert set(clock.at(START + 2 * HOUR)["24h"][0].tolist()) == {1, 2}


def test_settings_are_chosen_on_the_first_stretches_only():
    names = [f"{family}: {name}" for family, variants in FAMILIES.items() for name in variants]
    early = {"scores": {name: [0.1 + 0.01 * row] for row, name in enumerate(names)}}
    late = {"scores": {name: [1.0 - 0.01 * row] for row, name in enumerate(names)}}
    chosen = choose({0: early, 1: late}, 1)
    assert list(chosen) == ["+ recency: half-life 14 d", "+ session: quarter, 0.2"]

"""A model alone is asked from true histories and lists only what is new and open."""

import numpy as np
from tests.unit.models.data import N_ITEMS, NOW, fit_input, rows, two_tastes

from kindred.models.als import AlsConfig
from kindred.training.fit.als import fit_als
from kindred.training.solo import histories, solo_lists


def test_a_history_stands_newest_first_with_its_latest_events() -> None:
    data = fit_input(
        rows((0, 3, "view", NOW - 30, None), (0, 5, "click", NOW - 20, None), (0, 3, "purchase", NOW - 10, None),
             (1, 7, "view", NOW - 5, None), (0, 9, "dislike", NOW - 40, None))
    )  # fmt: skip
    (history, other, nobody) = histories(data, np.array([0, 1, 5]))
    assert history.items.tolist() == [3, 5, 9]
    assert [history.names[code] for code in history.event_types] == ["purchase", "click", "dislike"]
    assert history.timestamps.tolist() == [NOW - 10, NOW - 20, NOW - 40]
    assert history.positive.tolist() == [True, True, False]
    assert other.items.tolist() == [7]
    assert (len(nobody.items), history.as_of) == (0, NOW)


def test_lists_leave_out_what_is_seen_or_closed_and_are_padded() -> None:
    data = fit_input(two_tastes())
    model = fit_als(data, AlsConfig(factors=8, iterations=5))
    eligible = np.ones(N_ITEMS, np.bool_)
    eligible[::3] = False
    users = np.array([4, 1, 30])
    found = solo_lists(model, data, users, 20, eligible)
    assert found.shape == (3, 20)
    for user, listed in zip(users.tolist(), found, strict=True):
        kept = listed[listed >= 0]
        mine = data.interactions.items[data.interactions.users == user]
        assert len(kept)
        assert not np.isin(kept, mine).any()
        assert eligible[kept].all()
        assert (listed[len(kept) :] == -1).all()
    half = (N_ITEMS - 2) // 2
    assert (found[1, :2] >= half).all()
    assert (found[0, :2] < half).all()

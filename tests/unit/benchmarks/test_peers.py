"""The contest's own parts: splits that share nothing, lists of what is unseen, settings that are combined."""

import numpy as np
from benchmarks.quality.peers.contest import DEPTH, ranked
from benchmarks.quality.peers.splits import _contest, _random_share
from benchmarks.quality.peers.systems import SYSTEMS, grid
from scipy.sparse import csr_matrix


def test_each_user_gives_the_same_share() -> None:
    users = np.repeat([3, 5, 9], [10, 25, 4])
    held = _random_share(users, 0.2, np.random.default_rng(1))
    assert [int(held[users == user].sum()) for user in (3, 5, 9)] == [2, 5, 0]
    again = _random_share(users, 0.2, np.random.default_rng(1))
    other = _random_share(users, 0.2, np.random.default_rng(2))
    assert (held == again).all()
    assert (held != other).any()


def test_what_is_looked_for_is_new_and_known() -> None:
    learned = np.array([[1, 10], [1, 11], [2, 10], [2, 10]])
    wanted = np.array([[1, 10], [2, 11], [2, 99], [7, 10], [2, 11]])
    contest = _contest((learned, wanted), (np.concatenate([learned, wanted]), np.array([[1, 10], [2, 11]])))
    assert (contest.n_users, contest.n_items) == (2, 2)
    (seen, found), (_, later) = contest.choose, contest.judge
    assert list(zip(seen.users.tolist(), seen.items.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0)]
    assert list(zip(found.users.tolist(), found.items.tolist(), strict=True)) == [(1, 1)]
    assert len(later.users) == 0


def test_lists_hold_unseen_items_ties_by_ordinal_and_no_number_last() -> None:
    train = csr_matrix((np.ones(2), ([0, 1], [4, 0])), shape=(2, 30))
    scores = np.zeros((2, 30))
    scores[0, [4, 7, 2]] = 9, 5, 5
    scores[1, 3] = np.nan
    found = ranked(lambda start, stop: scores[start:stop], train)
    assert found.shape == (2, DEPTH)
    assert found[0, :4].tolist() == [2, 7, 0, 1]
    assert 4 not in found[0]
    assert found[1, :4].tolist() == [1, 2, 4, 5]


def test_every_system_chooses_from_equally_few_settings() -> None:
    assert grid(a=(1, 2), b=(3,)) == ({"a": 1, "b": 3}, {"a": 2, "b": 3})
    assert all(len(system.grid) <= 3 for system in SYSTEMS)
    assert len({system.label for system in SYSTEMS}) == len(SYSTEMS)

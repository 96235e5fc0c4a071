"""Diversity and exploration: MMR by brute force, caps that hold, propensities that are frequencies."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from kindred.core.candidates import Candidates
from kindred.core.query import Context, Filters, Params, Query
from kindred.recommend.rerankers.caps import Capped, category_cap
from kindred.recommend.rerankers.diversity import Diversity, mmr_order, mmr_pool
from kindred.recommend.rerankers.exploration import Exploration


def query(count, seed=1, filters=None, **params) -> Query:
    asked = Params(**{"diversity": 0.0, "category_cap": 1.0, "exploration": 0.0, **params})
    return Query(
        user_id="u",
        request_id="r",
        context=Context(time=0),
        count=count,
        params=asked,
        seed=seed,
        filters=filters or Filters(),
    )


def world(groups, vectors=None):
    vectors = np.eye(len(groups), 8, dtype=np.float32) if vectors is None else vectors
    return SimpleNamespace(
        table=SimpleNamespace(primary=np.array(groups, np.int32)), content_vectors=lambda items: vectors[items]
    )


def ranked(n, new=()) -> Candidates:
    """Return n candidates, best first, item = row; those in `new` were proposed as new."""
    raw = np.full(n, np.nan, np.float32)
    raw[list(new)] = 1
    return Candidates(np.arange(n, dtype=np.int32), {"score": np.linspace(1, 0, n, dtype=np.float32), "raw.new": raw})


def brute_mmr(scores, vectors, groups, diversity, cap, wanted):
    chosen = []
    while len(chosen) < min(wanted, len(scores)):
        left = [r for r in range(len(scores)) if r not in chosen]
        counts = Counter(groups[r] for r in chosen)
        fit = [r for r in left if groups[r] < 0 or counts[groups[r]] < cap] or left

        def value(row):
            near = max((float(vectors[row] @ vectors[c]) for c in chosen), default=0.0)
            return (1 - diversity) * float(scores[row]) - diversity * max(near, 0.0)

        chosen.append(max(fit, key=lambda r: (round(value(r), 5), -r)))
    return chosen


@given(
    st.integers(0, 10_000),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(1, 4),
    st.integers(1, 14),
)
def test_mmr_is_what_the_definition_says(seed, n, diversity, cap, wanted):
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.random(n).astype(np.float32))[::-1].copy()
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = rng.integers(-1, 3, n).astype(np.int32)
    found = mmr_order(scores, vectors, groups, diversity, cap, wanted).tolist()
    assert found == brute_mmr(scores, vectors, groups.tolist(), diversity, cap, wanted)
    if diversity == 0:
        assert mmr_order(scores, None, groups, 0.0, cap, wanted).tolist() == found


@settings(max_examples=2_000)
@given(
    st.lists(st.integers(-1, 4), max_size=60),
    st.integers(1, 20),
    st.sampled_from([0.1, 0.3, 0.5, 0.6, 1.0]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 3),
)
def test_a_cap_is_kept_while_another_row_is_left(groups, count, share, diversity, exploration, every):
    """Also behind the first hundreds of rows of one category, and through exploration."""
    groups = sorted(groups)
    asked = query(count, category_cap=share, diversity=diversity, exploration=exploration)
    cap = category_cap(asked)
    made, found = world(groups), ranked(len(groups), new=range(0, len(groups), 3) if every else ())
    for stage in (Diversity(made), *([Exploration(made)] if exploration else [])):
        order = stage.order(asked, found)
        assert len(set(order.index.tolist())) == len(order.index)
        found = found.take(order.index)
    slate = made.table.primary[found.items][:count].tolist()
    counts = Counter(group for group in slate if group >= 0)
    room = sum(min(size, cap) if group >= 0 else size for group, size in Counter(groups).items())
    # Filled up to what there is; over a cap only by as much as the others could not fill.
    assert len(slate) == min(count, len(groups))
    assert sum(max(0, size - cap) for size in counts.values()) == max(0, len(slate) - min(room, count))


def test_a_cap_shares_out_the_slate_and_forbids_nothing():
    order = Diversity(world([0] * 10)).order(query(8, category_cap=0.5), ranked(10))
    assert order.index.tolist()[:8] == list(range(8))


def test_a_request_for_a_category_is_not_capped():
    assert category_cap(query(10, category_cap=0.3)) == 3
    assert category_cap(query(2, category_cap=0.3)) == 1
    assert category_cap(query(10, category_cap=0.7)) == 7
    assert category_cap(query(10, category_cap=1.0)) == 10
    assert category_cap(query(10, category_cap=0.3, filters=Filters(categories=("drama",)))) == 10


def test_the_pool_reaches_past_a_crowd_of_one_category():
    groups = np.array([0] * 500 + [1] * 20, np.int32)
    assert mmr_pool(groups, 3, 40).tolist() == [*range(12), *range(500, 512)]
    assert mmr_pool(groups[:30], 3, 40).tolist() == list(range(30))


def test_new_items_stay_for_exploration_however_far_down():
    order = Diversity(world([-1] * 200)).order(query(5), ranked(200, new=[3, 150, 199]))
    assert order.index.tolist() == [*range(10), 150, 199]


def test_a_group_is_full_at_its_cap():
    shares = Capped(2)
    assert [shares.take(group) for group in (0, 1, 0, -1, -1, -1)] == [False, False, True, False, False, False]
    assert [shares.full(group) for group in (0, 1, 2, -1)] == [True, False, False, False]


# --- exploration


def test_nothing_is_explored_without_new_items_or_without_a_share():
    order = Exploration(world([-1] * 9)).order(query(5, exploration=0.9), ranked(9))
    assert order.index.tolist() == list(range(5))
    assert order.propensity.tolist() == [1.0] * 5
    assert order.detail["explored"] == []
    assert not Exploration(world([])).enabled(query(5))


def exact(groups, new, count, epsilon, cap):
    """Return every slate with its probability, by walking the tree of choices."""
    found = Counter()

    def walk(prefix, p):
        if len(prefix) == min(count, len(groups)):
            found[prefix] += p
            return
        counts = Counter(groups[r] for r in prefix)
        left = [r for r in range(len(groups)) if r not in prefix]
        fit = [r for r in left if groups[r] < 0 or counts[groups[r]] < cap] or left
        pool = [r for r in fit if r in new]
        e = epsilon if pool else 0.0
        for row in fit:
            q = (1 - e) * (row == fit[0]) + (e / len(pool) if row in pool else 0.0)
            if q > 0:
                walk((*prefix, row), p * q)

    walk((), 1.0)
    return found


@pytest.mark.parametrize(
    ("groups", "new", "epsilon", "share"),
    [
        ([-1] * 6, [3, 4, 5], 0.3, 1.0),
        ([-1] * 6, [0, 4], 0.5, 1.0),
        ([0, 0, 0, 1, 0, 1], [4, 5], 0.4, 0.67),
        ([0, 1, 2], [2], 1.0, 1.0),
    ],
)
def test_propensities_are_the_frequencies_of_slates(groups, new, epsilon, share):
    made, found = world(groups), ranked(len(groups), new)
    draws, seen, logged = 4_000, Counter(), {}
    for seed in range(draws):
        order = Exploration(made).order(query(3, seed, exploration=epsilon, category_cap=share), found)
        slate = tuple(order.index.tolist())
        seen[slate] += 1
        logged[slate] = float(np.prod(order.propensity, dtype=np.float64))
    expected = exact(groups, new, 3, epsilon, category_cap(query(3, category_cap=share)))
    assert set(seen) <= set(expected)
    for slate, p in logged.items():
        assert p == pytest.approx(expected[slate], rel=1e-5)
    common = [slate for slate, p in expected.items() if p * draws >= 5]
    if len(common) > 1:
        rest = draws - sum(seen[s] for s in common)
        rare = draws * (1 - sum(expected[s] for s in common))
        observed = [seen[s] for s in common] + ([rest] if rare >= 1 else [])
        wanted = np.array([draws * expected[s] for s in common] + ([rare] if rare >= 1 else []))
        assert chisquare(observed, wanted * sum(observed) / wanted.sum()).pvalue > 1e-3


def test_the_share_of_explored_slots_is_as_asked():
    made, found = world([-1] * 60), ranked(60, new=range(30, 60))
    slots = [len(Exploration(made).order(query(20, s, exploration=0.3), found).detail["explored"]) for s in range(300)]
    assert np.mean(slots) / 20 == pytest.approx(0.3, abs=0.02)


def test_the_same_seed_draws_the_same_slate():
    made, found = world([-1] * 20), ranked(20, new=range(10, 20))
    first, again = (Exploration(made).order(query(10, 5, exploration=0.5), found).index.tolist() for _ in range(2))
    assert first == again
    assert first != Exploration(made).order(query(10, 6, exploration=0.5), found).index.tolist()

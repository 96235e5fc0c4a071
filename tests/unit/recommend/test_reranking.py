"""The order of a slate: MMR and DPP by brute force, and constraints that hold for every prefix."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.recommend.slates import query, ranked, world

from kindred.core.candidates import Candidates
from kindred.core.query import Filters
from kindred.recommend.rerankers.constraints import Cap, Constraints, first_rows, slots_per_category, together
from kindred.recommend.rerankers.diversity import Diversity
from kindred.recommend.rerankers.exploration import Exploration
from kindred.recommend.rerankers.greedy import Dpp, Mmr, Relevance, greedy


def brute_mmr(scores, vectors, groups, diversity, cap, wanted):
    chosen = []
    while len(chosen) < min(wanted, len(scores)):
        counts = Counter(groups[r] for r in chosen)
        left = [r for r in range(len(scores)) if r not in chosen and (groups[r] < 0 or counts[groups[r]] < cap)]
        if not left:
            return chosen

        def value(row):
            near = max((float(vectors[row] @ vectors[c]) for c in chosen), default=0.0)
            return (1 - diversity) * float(scores[row]) - diversity * max(near, 0.0)

        chosen.append(max(left, key=lambda r: (round(value(r), 5), -r)))
    return chosen


def brute_dpp(scores, vectors, diversity, wanted):
    """Choose by determinants of the whole kernel, row after row."""
    kernel = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(kernel, 1.0)
    chosen = []
    while len(chosen) < min(wanted, len(scores)):

        def value(row):
            rows = [*chosen, row]
            before = np.linalg.det(kernel[np.ix_(chosen, chosen)]) if chosen else 1.0
            volume = np.linalg.det(kernel[np.ix_(rows, rows)]) / before
            return (1 - diversity) * float(scores[row]) + diversity * np.log(max(volume, 1e-4))

        left = [r for r in range(len(scores)) if r not in chosen]
        chosen.append(max(left, key=lambda r: (round(value(r), 4), -r)))
    return chosen


def drawn(seed, n, dimensions):
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.random(n).astype(np.float32))[::-1].copy()
    vectors = rng.normal(size=(n, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return scores, vectors, rng.integers(-1, 3, n).astype(np.int32)


@given(
    st.integers(0, 10_000),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(1, 4),
    st.integers(1, 14),
)
def test_mmr_is_what_the_definition_says(seed, n, diversity, cap, wanted):
    scores, vectors, groups = drawn(seed, n, 4)
    found = greedy(Mmr(scores, vectors, diversity), Constraints(n, [Cap(groups, cap)]), wanted).tolist()
    assert found == brute_mmr(scores, vectors, groups.tolist(), diversity, cap, wanted)
    if diversity == 0:
        assert greedy(Relevance(scores), Constraints(n, [Cap(groups, cap)]), wanted).tolist() == found


@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([0.05, 0.3, 0.7]))
def test_dpp_is_greedy_by_determinants(seed, n, diversity):
    scores, vectors, _ = drawn(seed, n, 12)
    assert greedy(Dpp(scores, vectors, diversity), Constraints(n), n).tolist() == brute_dpp(
        scores, vectors, diversity, n
    )


def test_dpp_goes_on_by_relevance_where_every_direction_is_taken():
    scores = np.linspace(1, 0.5, 6, dtype=np.float32)
    vectors = np.tile(np.eye(2, dtype=np.float32), (3, 1))
    assert greedy(Dpp(scores, vectors, 0.5), Constraints(6), 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_dpp_stays_finite_far_beyond_the_directions_that_there_are():
    for seed in range(5):
        scores, vectors, _ = drawn(seed, 160, 6)
        gains = Dpp(scores, vectors, 0.9)
        with np.errstate(all="raise"):
            assert len(set(greedy(gains, Constraints(160), 100).tolist())) == 100
            assert np.isfinite(gains.now()).all()


def test_rows_without_a_vector_resemble_nothing():
    scores, vectors = np.linspace(1, 0.9, 4, dtype=np.float32), np.zeros((4, 3), np.float32)
    for kind in (Mmr, Dpp):
        assert greedy(kind(scores, vectors, 0.9), Constraints(4), 4).tolist() == [0, 1, 2, 3]


def test_the_placement_chooses_between_mmr_and_dpp():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    stage = Diversity(world([-1] * 40, vectors))
    orders = {
        kind: stage.order(query(10, diversity=0.5, reranker=kind), ranked(40)).index[:10].tolist()
        for kind in ("mmr", "dpp")
    }
    assert orders["mmr"] != orders["dpp"]


# --- constraints


@settings(max_examples=2_000)
@given(
    st.lists(st.integers(-1, 4), max_size=60),
    st.integers(1, 20),
    st.sampled_from([0.1, 0.3, 0.5, 0.6, 1.0]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 3),
)
def test_a_cap_is_never_broken(groups, count, share, diversity, exploration, every):
    """Also behind the first hundreds of rows of one category, and through exploration; no slot is empty for naught."""
    groups = sorted(groups)
    made = world(groups)
    asked = query(count, category_cap=share, diversity=diversity, exploration=exploration)
    cap = slots_per_category(asked, made.table.primaries)
    found = ranked(len(groups), new=range(0, len(groups), 3) if every else ())
    for stage in (Diversity(made), Exploration(made)):
        order = stage.order(asked, found)
        assert len(set(order.index.tolist())) == len(order.index)
        found = found.take(order.index)
    slate = made.table.primary[found.items].tolist()
    room = sum(min(size, cap) if group >= 0 else size for group, size in Counter(groups).items())
    assert len(slate) == min(count, room)
    assert all(size <= cap for group, size in Counter(slate).items() if group >= 0)
    short = ["under_filled:category_cap"] if room < min(count, len(groups)) else []
    assert asked.scratch["degraded"] == short


def test_a_catalogue_of_one_category_and_a_request_for_one_are_not_capped():
    assert slots_per_category(query(10, category_cap=0.3), 5) == 3
    assert slots_per_category(query(2, category_cap=0.3), 5) == 1
    assert slots_per_category(query(10, category_cap=0.7), 5) == 7
    assert slots_per_category(query(10, category_cap=1.0), 5) == 10
    assert slots_per_category(query(10, category_cap=0.3), 1) == 10
    assert slots_per_category(query(10, category_cap=0.3, filters=Filters(categories=("drama",))), 5) == 10


def test_the_pool_reaches_past_a_crowd_of_one_category():
    groups = np.array([0] * 500 + [1] * 20, np.int32)
    assert first_rows(groups, 12, 40).tolist() == [*range(12), *range(500, 512)]
    assert first_rows(groups[:30], 40, 40).tolist() == list(range(30))
    assert first_rows(np.full(9, -1, np.int32), 1, 5).tolist() == list(range(5))


def test_new_items_stay_for_exploration_however_far_down():
    order = Diversity(world([-1] * 200)).order(query(5, exploration=0.3), ranked(200, new=[3, 150, 199]))
    assert order.index.tolist() == [*range(15), 150, 199]
    alone = query(5, exploration=0.3, disabled=("exploration",))
    assert Diversity(world([-1] * 200)).order(alone, ranked(200, new=[150])).index.tolist() == list(range(5))


def filled(constraints, order):
    """Fill a slate with the first open row of `order` at each slot."""
    slate = []
    while True:
        row = constraints.due()
        if row is None:
            row = next((one for one in order if constraints.open[one]), None)
            if row is None:
                return slate
        slate.append(row)
        constraints.take(row)


def test_pins_stand_where_they_are_told_and_count_under_caps():
    groups = np.array([0, 0, 0, 1, 1, 1], np.int32)
    assert filled(Constraints(6, [Cap(groups, 2)], pins={0: 5, 2: 2}), range(6)) == [5, 0, 2, 3]
    # The second pin would be the third of its group: it lapses, and its slot goes to another.
    assert filled(Constraints(6, [Cap(groups, 1)], pins={0: 4, 1: 5}), range(6)) == [4, 0]
    # Where nothing else is left, later pins move up.
    assert filled(Constraints(2, pins={7: 1}), range(2)) == [0, 1]


def test_creators_keep_their_distance_while_another_row_is_left():
    creators = np.array([7, 7, 7, 8, -1, -1], np.int32)
    assert filled(Constraints(6, creators=creators, spacing=1), range(6)) == [0, 3, 1, 4, 2, 5]
    assert filled(Constraints(6, creators=creators, spacing=2), range(6)) == [0, 3, 4, 1, 5, 2]
    assert filled(Constraints(3, creators=creators[:3], spacing=5), range(3)) == [0, 1, 2]
    assert filled(Constraints(6, creators=creators), range(6)) == list(range(6))


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=30), st.integers(1, 4), st.integers(0, 1_000))
def test_spacing_holds_at_every_slot_where_it_can(creators, spacing, seed):
    numbers = np.array(creators, np.int32)
    slate = filled(
        Constraints(len(creators), creators=numbers, spacing=spacing),
        np.random.default_rng(seed).permutation(len(creators)).tolist(),
    )
    assert sorted(slate) == list(range(len(creators)))
    for slot, row in enumerate(slate):
        recent = {creators[one] for one in slate[max(0, slot - spacing) : slot]} - {-1}
        others = [one for one in slate[slot:] if creators[one] not in recent]
        assert creators[row] not in recent or not others


def test_a_slate_says_which_cap_left_it_short():
    groups, promoted = np.array([0, 0, 1], np.int32), np.array([0, 0, 0], np.int32)
    made = Constraints(3, [Cap(groups, 1)])
    assert len(filled(made, range(3))) == 2
    assert made.short_by() == "category_cap"
    made = Constraints(3, [Cap(promoted, 1, "promotion_cap")])
    assert len(filled(made, range(3))) == 1
    assert made.short_by() == "promotion_cap"
    made = Constraints(3, [Cap(groups, 2)])
    assert len(filled(made, range(3))) == 3
    assert made.short_by() is None


def test_nothing_at_all_makes_an_empty_slate():
    order = Diversity(world([])).order(query(5), Candidates.empty())
    assert order.index.tolist() == []
    assert Exploration(world([])).order(query(5, exploration=0.5), Candidates.empty()).index.tolist() == []


@given(
    st.lists(st.tuples(*[st.integers(-1, 4)] * 2), max_size=60),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 2),
)
def test_a_slate_has_room_for_as_many_as_can_be_chosen(groups, count, most, n_caps):
    columns = np.array(groups, np.int32).reshape(-1, 2)
    caps = [Cap(columns[:, number], most + number) for number in range(n_caps)]
    scores = np.linspace(1, 0, len(groups), dtype=np.float32)
    chosen = greedy(Relevance(scores), Constraints(len(groups), caps), count)
    assert together(len(groups), caps, count).tolist() == chosen.tolist()
    assert together(len(groups), [], count).tolist() == list(range(min(count, len(groups))))

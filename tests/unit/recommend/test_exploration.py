"""The stochastic stage: what is logged is how often it happens, under every constraint at once."""

from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chisquare
from tests.unit.recommend.slates import query, ranked, world
from tests.unit.recommend.world import build

from kindred.core.bits import Bits
from kindred.core.candidates import Candidates
from kindred.core.query import UserFacts
from kindred.core.rng import seeded, uniforms
from kindred.core.rules import Rule
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.pools import Pools, Retired, needed, quantile
from kindred.recommend.posteriors import DRAWS, choice_frequencies, posterior, promising
from kindred.recommend.rerankers.constraints import slots_per_category
from kindred.recommend.rerankers.diversity import Diversity
from kindred.recommend.rerankers.exploration import EPSILON, PINNED, POOL_SIZE, Exploration
from kindred.recommend.rerankers.pool_draws import Pool
from kindred.recommend.reserves.config import ReservesConfig


def fits(counts: dict, expected: dict, draws: int) -> bool:
    """Say whether counts go with probabilities by chi-square, what is expected fewer than 5 times taken together."""
    common = [key for key, p in expected.items() if p * draws >= 5]
    observed, wanted = [counts[key] for key in common], [expected[key] * draws for key in common]
    rest = max(draws - sum(wanted), 0.0)
    if rest >= 1:
        observed, wanted = [*observed, draws - sum(observed)], [*wanted, rest]
    elif sum(observed) != draws:
        return False
    return len(wanted) < 2 or chisquare(observed, np.array(wanted) * draws / sum(wanted)).pvalue > 1e-4


def exact(groups, new, serendipity, count, shares, cap):
    """Return every slate with its probability, by walking the tree of choices."""
    found = Counter()

    def walk(prefix, p):
        counts = Counter(groups[r] for r in prefix)
        fit = [r for r in range(len(groups)) if r not in prefix and (groups[r] < 0 or counts[groups[r]] < cap)]
        if len(prefix) == count or not fit:
            found[prefix] += p
            return
        pools = [[r for r in fit if r in pool] for pool in (new, serendipity)]
        e = sum(share for share, pool in zip(shares, pools, strict=True) if pool)
        for row in fit:
            q = (1 - e) * (row == fit[0])
            q += sum(share / len(pool) for share, pool in zip(shares, pools, strict=True) if row in pool)
            if q > 0:
                walk((*prefix, row), p * q)

    walk((), 1.0)
    return found


@pytest.mark.parametrize(
    ("groups", "new", "serendipity", "epsilon", "part", "share"),
    [
        ([-1] * 6, [3, 4, 5], [], 0.3, 0.0, 1.0),
        ([-1] * 6, [0, 4], [], 0.5, 0.0, 1.0),
        ([0, 0, 0, 1, 0, 1], [4, 5], [], 0.4, 0.0, 0.67),
        ([0, 1, 2], [2], [], 1.0, 0.0, 1.0),
        ([-1] * 7, [4, 5], [2, 5, 6], 0.6, 0.5, 1.0),
        ([0, 0, 1, 0, 1, 1], [3], [1, 5], 0.5, 1 / 3, 0.34),
    ],
)
def test_propensities_are_the_frequencies_of_slates(groups, new, serendipity, epsilon, part, share):
    made, found = world(groups, serendipity=part), ranked(len(groups), new, serendipity)
    draws, seen, logged = 4_000, Counter(), {}
    for seed in range(draws):
        order = Exploration(made).order(query(3, seed, exploration=epsilon, category_cap=share), found)
        slate = tuple(order.index.tolist())
        seen[slate] += 1
        logged[slate] = float(np.prod(order.propensity, dtype=np.float64))
    cap = slots_per_category(query(3, category_cap=share), made.table.primaries)
    expected = exact(groups, new, serendipity, 3, (epsilon * (1 - part), epsilon * part), cap)
    assert set(seen) <= set(expected)
    for slate, p in logged.items():
        assert p == pytest.approx(expected[slate], rel=1e-5)
    assert fits(seen, expected, draws)


CATEGORIES = (0, 0, 1, 0, 2, 0, 1, 0, 0, 2, 1, 0, 2, 2, 0, 1, 1, 0, 2, 0)
PINS = (Rule(kind="pin", items=("p",), slot=3), Rule(kind="promote", tags=("t",), factor=1.0, cap=2))


def crowded(seed, dropped=(), exploration=0.5):
    """Return a world and a request with MMR, a cap, a pin, a promotion's cap and spacing; rows in `dropped` are masked.

    The candidates are a warm reserve: ranked once, with the pools' columns, and masked at the request.
    """
    rng = np.random.default_rng(11)
    vectors = rng.normal(size=(20, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made = world(CATEGORIES, vectors, creators=[row % 7 for row in range(20)], serendipity=0.4)
    promoted = np.array([1, 4, 6, 9, 13], np.int32)
    made.table.with_tags = lambda names: SimpleNamespace(bits=Bits.listed(promoted, 20))
    reserve = ranked(20, new=[8, 11, 14, 19], serendipity=[6, 9, 16])
    reserve.columns["pool.new"][[8, 11, 14, 19]] = [0.1, 0.2, 0.3, 0.4]
    asked = query(6, seed, exploration=exploration, diversity=0.3, category_cap=0.34, creator_spacing=1, rules=PINS)
    asked.scratch["rule_items"] = {"p": 17}
    keep = np.ones(20, np.bool_)
    keep[list(dropped)] = False
    return made, asked, reserve.take(keep)


def slate_of(made, asked, reserve):
    found = reserve
    chosen = Diversity(made).order(asked, found)
    found = found.take(chosen.index).with_columns(chosen.columns)
    order = Exploration(made).order(asked, found)
    return found.take(order.index).with_columns(order.columns), order


@pytest.mark.parametrize("dropped", [(), (0, 9, 11)])
def test_conditional_frequencies_at_fixed_prefixes_are_what_is_logged(dropped):
    draws = 3_000
    after, logged, prefixes = defaultdict(Counter), defaultdict(dict), Counter()
    weights, greedy = [], tuple(slate_of(*crowded(0, dropped, exploration=1e-12))[0].items.tolist())
    for seed in range(draws):
        made, asked, reserve = crowded(seed, dropped)
        shown, order = slate_of(made, asked, reserve)
        slate = tuple(shown.items.tolist())
        assert len(slate) == 6
        assert max(Counter(CATEGORIES[item] for item in slate).values()) <= 2
        assert len({1, 4, 6, 9, 13} & set(slate)) <= 2
        assert slate[2] == 17
        assert shown.columns[PINNED].tolist() == [0, 0, 1, 0, 0, 0]
        assert order.propensity[2] == 1.0
        assert not set(dropped) & set(slate)
        for slot, item in enumerate(slate):
            prefixes[slate[:slot]] += 1
            after[slate[:slot]][item] += 1
            assert logged[slate[:slot]].setdefault(item, float(order.propensity[slot])) == order.propensity[slot]
        weights.append(1 / np.prod(order.propensity, dtype=np.float64) if slate == greedy else 0.0)
    tested = [prefix for prefix, n in prefixes.items() if n >= 200]
    assert {len(prefix) for prefix in tested} >= {0, 1, 2, 3}
    for prefix in tested:
        assert fits(after[prefix], logged[prefix], prefixes[prefix]), prefix
    # What the policy would do without draws has weight 1 in all, if propensities are right from the first slot to last.
    mean, error = np.mean(weights), np.std(weights) / draws**0.5
    assert abs(mean - 1) < 4 * error


def test_marginal_frequencies_are_the_mean_of_conditional_probabilities():
    """By Monte Carlo: how often a row stands at a slot, against the mean of q over the prefixes that came up."""
    groups, new = [0, 0, 1, 1, 0, 1], [4, 5]
    made, found = world(groups), ranked(6, new)
    draws = 4_000
    slates = [
        tuple(Exploration(made).order(query(3, seed, exploration=0.4, category_cap=0.67), found).index.tolist())
        for seed in range(draws)
    ]
    expected = exact(groups, new, [], 3, (0.4, 0.0), 2)
    for slot in range(3):
        marginal = Counter()
        for slate, p in expected.items():
            marginal[slate[slot]] += p
        assert fits(Counter(slate[slot] for slate in slates), marginal, draws), slot


def test_nothing_is_explored_without_pools_or_without_a_share():
    order = Exploration(world([-1] * 9)).order(query(5, exploration=0.9), ranked(9))
    assert order.index.tolist() == list(range(5))
    assert order.propensity.tolist() == [1.0] * 5
    assert order.detail["explored"] == []
    asked = query(5)
    assert Exploration(world([-1] * 9)).order(asked, ranked(9, [7, 8])).columns[EPSILON].tolist() == [0.0] * 5
    assert "policy" not in asked.scratch


def test_each_pool_has_its_share_of_all_slots():
    made, found = world([-1] * 90, serendipity=1 / 3), ranked(90, range(30, 60), range(60, 90))
    slots = Counter()
    for seed in range(400):
        order = Exploration(made).order(query(20, seed, exploration=0.3), found)
        slots.update("new" if row < 60 else "serendipity" for row in order.index.tolist() if row >= 30)
        assert order.columns[EPSILON].tolist() == pytest.approx([0.3] * 20)
        assert order.columns[POOL_SIZE][0] == 60
    assert slots["new"] / 8_000 == pytest.approx(0.2, abs=0.02)
    assert slots["serendipity"] / 8_000 == pytest.approx(0.1, abs=0.02)


def test_a_pool_that_is_used_up_gives_its_share_back():
    made, found = world([-1] * 12, serendipity=0.5), ranked(12, [10], [11])
    for seed in range(50):
        order = Exploration(made).order(query(6, seed, exploration=0.8), found)
        for slot in range(6):
            left = {10, 11} - set(order.index[:slot].tolist())
            assert order.columns[EPSILON][slot] == pytest.approx(0.4 * len(left))


def test_the_same_seed_draws_the_same_slate():
    made, found = world([-1] * 20), ranked(20, new=range(10, 20))
    first, again = (Exploration(made).order(query(10, 5, exploration=0.5), found).index.tolist() for _ in range(2))
    assert first == again
    assert first != Exploration(made).order(query(10, 6, exploration=0.5), found).index.tolist()


@pytest.mark.parametrize("left", [(3,), (0, 9), (1, 2, 4, 5, 6, 7, 8)])
def test_what_is_closed_leaves_the_weights_of_the_rest_as_they_are(left):
    weights = np.arange(1, 11, dtype=np.float32)
    pool = Pool(weights / weights.sum(), 1.0)
    pool.restrict(b"\x01" * 10)
    for row in set(range(10)) - set(left):
        assert pool.close(row) > 0
        assert pool.close(row) is None
    draws = Counter(pool.draw(place) for place in uniforms(5_000, "closed", len(left)))
    assert set(draws) == set(left)
    assert fits(draws, {row: float(weights[row] / weights[list(left)].sum()) for row in left}, 5_000)
    assert pool.mass == pytest.approx(float(weights[list(left)].sum() / weights.sum()))


# --- what is drawn from


def bundle(users, config_of=world, **config):
    made = config_of([-1] * len(users), **config)
    counts = np.array(users, np.int32)
    made.evidence = lambda items: counts[items]
    made.models = SimpleNamespace(popularity=SimpleNamespace(user_counts=counts))
    return made


def known_user(asked):
    asked.facts = UserFacts(history=np.array([99], np.int32))
    return asked


def scored(n, **columns):
    columns = {name: np.array(values, np.float32) for name, values in columns.items()}
    return Candidates(np.arange(n, dtype=np.int32), {"score": np.linspace(1, 0, n, dtype=np.float32), **columns})


def test_new_and_uncertain_items_are_drawn_until_their_chance_is_spent():
    nan = np.nan
    found = scored(
        6, **{"raw.new": [nan, 1, 1, nan, nan, nan], "tried.exposed": [0, 0, 200, 0, 500, nan], "raw.als": [1] * 6}
    )
    columns = Pools(bundle([50, 3, 3, 4, 4, 50])).score(query(5, exploration=0.3), found)
    assert columns["pool.new"].tolist() == [0, 0.5, 0, 0.5, 0, 0]
    assert not columns["pool.serendipity"].any()
    assert needed(found.with_columns(columns)).tolist() == [False, True, False, True, False, False]
    assert not Pools(bundle([1])).enabled(query(5))


def test_serendipity_is_relevant_unlike_the_history_and_not_famous():
    n = 100
    users = [1_000 if row % 10 == 0 else 50 for row in range(n)]
    likeness = [row % 4 / 4 for row in range(n)]
    found = scored(n, **{"model.content": likeness})
    pools = Pools(bundle(users))
    columns = pools.score(known_user(query(5, exploration=0.3)), found)
    inside = np.flatnonzero(columns["pool.serendipity"]).tolist()
    assert inside == [row for row in range(50) if row % 4 == 0 and row % 10]
    assert columns["pool.serendipity"].sum() == pytest.approx(1)
    assert not pools.score(query(5, exploration=0.3), found)["pool.serendipity"].any()


def test_retired_is_what_had_its_chance_and_has_nothing_but_being_new():
    nan = np.nan
    found = scored(
        5,
        **{
            "raw.new": [1, 1, 1, 1, nan],
            "raw.content": [nan, nan, 1, nan, 1],
            "tried.exposed": [300, 300, 300, 100, 300],
            "tried.clicked": [2, 30, 0, 0, 0],
        },
    )
    assert Retired(bundle([1] * 5)).keep(query(5, exploration=0.3), found).tolist() == [False, True, True, True, True]
    assert promising(found).tolist() == [False, True, False, False, False]


def test_choice_frequencies_are_those_of_thompson_sampling():
    wins, losses = np.array([1, 5, 20], np.float32), np.array([49, 60, 180], np.float32)
    found = choice_frequencies(wins, losses, seeded("t"))
    draws = np.random.default_rng(1).beta(wins, losses, (200_000, 3)).argmax(axis=1)
    assert found.sum() == pytest.approx(1)
    assert found.tolist() == pytest.approx((np.bincount(draws) / 200_000).tolist(), abs=0.06)
    hopeless = choice_frequencies(np.array([1, 500], np.float32), np.array([5_000, 500], np.float32), seeded("t"))
    assert hopeless[0] == pytest.approx(0.05 / 1.05, rel=0.02)
    assert DRAWS >= 1_000


def test_thompson_draws_by_what_exposures_brought():
    found = scored(3, **{"raw.new": [1, 1, 1], "tried.exposed": [150, 150, 0], "tried.clicked": [15, 0, 0]})
    pools = Pools(bundle([1, 1, 1], exploration_policy="thompson"))
    weights = pools.score(query(5, exploration=0.3), found)["pool.new"]
    assert weights[0] > weights[2] >= weights[1] > 0
    assert weights.sum() == pytest.approx(1)
    wins, losses = posterior(found)
    assert wins.tolist() == [16, 1, 1]
    assert losses.tolist() == [184, 199, 49]


async def test_what_is_served_from_a_warm_reserve_is_drawn_as_logged(tmp_path, monkeypatch):
    """The whole way of a request: MMR, a cap, a pin and a filter, over a reserve that an event has made warm."""
    ids = map("rec_{}".format, range(10**6))
    monkeypatch.setattr("kindred.app.serving.new_id", lambda kind: next(ids))
    pin = Rule(kind="pin", items=("i119",), slot=2)
    config = RecommendConfig(cold_item=40, diversity=0.2, trace_share=0.0)
    placement = PlacementConfig(rules=(pin,), category_cap=0.5, exploration=0.5, count=4)
    platform = await build(
        tmp_path, config=config, placements={"home": placement}, reserves=ReservesConfig(enabled=True)
    )
    graded = []
    platform.serving._reserves._meter = SimpleNamespace(
        count=lambda name, **labels: graded.append(str(labels["grade"])), observe=lambda *_, **__: None
    )
    excluded = tuple(f"i{number}" for number in range(0, 40, 3))
    await platform.ask("u1")
    await platform.track("u1", "i5", "purchase")
    await platform.ask("u1")
    after, logged, prefixes = defaultdict(Counter), defaultdict(dict), Counter()
    for _ in range(900):
        served = await platform.ask("u1", exclude_items=excluded)
        shown = served.items
        slate = [one.catalog_item.item for one in shown]
        assert slate[1].item_id == "i119"
        assert served.propensities[1] == 1.0
        assert max(Counter(one.category for one in slate).values()) <= 2
        assert not {one.item_id for one in slate} & {*excluded, "i5"}
        for slot, one in enumerate(shown):
            prefix = tuple(each.item_id for each in slate[:slot])
            prefixes[prefix] += 1
            after[prefix][one.ordinal] += 1
            assert logged[prefix].setdefault(one.ordinal, served.propensities[slot]) == served.propensities[slot]
    assert graded[:3] == ["miss", "warm", "fresh"]
    assert set(graded[3:]) == {"fresh"}
    tested = [prefix for prefix, n in prefixes.items() if n >= 200]
    assert {len(prefix) for prefix in tested} >= {0, 1, 2}
    for prefix in tested:
        assert fits(after[prefix], logged[prefix], prefixes[prefix]), prefix
    assert len(after[()]) > 5


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_quantiles_part_values_as_the_librarys_do(share):
    draw = np.random.default_rng(5)
    for size in (1, 2, 3, 7, 200, 301):
        column = draw.random(size).astype(np.float32)
        column[column < 0.3] = 0
        mine, theirs = quantile(np.sort(column), share), np.quantile(column, share)
        assert np.array_equal(column <= mine, column <= theirs)
        assert np.array_equal(column >= mine, column >= theirs)

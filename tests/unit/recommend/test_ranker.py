"""The ranker in the funnel that serves: what it sees, what it changes, and what happens where it cannot."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import CONFIGS, NOW, build, changed
from tests.unit.training.ranking.examples import QUIET, planted

from kindred.core.candidates import Candidates
from kindred.core.clock import HOUR
from kindred.core.errors import StoreUnavailable
from kindred.core.query import Context, Query
from kindred.models.preference import Interactions
from kindred.models.ranker import RankerModel, RankerSchema
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.hydrators.features import CandidateFeatures
from kindred.recommend.hydrators.user import UserState
from kindred.recommend.ranking import places
from kindred.recommend.scorers.ranker import reordered
from kindred.training.dataset import Dataset
from kindred.training.ranking.learn import learn_ranker
from kindred.training.replay import Replay, ReplayPorts

CONFIG = RecommendConfig(exploration=0.0, seed=7, diversity=0.0, category_cap=1.0)


def ranker() -> RankerModel:
    """Return a ranker that goes by the age of items: what it learned as `secret` is read from their days."""
    model = replace(learn_ranker(planted(60), QUIET, seed=3, threads=1), mix={"order": 1.0})
    return replace(model, schema=RankerSchema(("blend", "user.items", "item.price")))


async def with_ranker(platform, model: RankerModel) -> None:
    platform.follower._world = replace(platform.world, models=replace(platform.world.models, ranker=model))


async def priced(platform) -> None:
    """Give items prices from 0 to 2.5 that the blend knows nothing of."""
    for one in await platform.stores.catalog.changes_since(0, 1_000):
        price = float(one.ordinal * 7 % 41) / 16
        await platform.stores.catalog.upsert([msgspec.structs.replace(one.item, price=price)], NOW)
    await platform.follower.step()


async def test_the_ranker_orders_and_scores_keep_their_scale(tmp_path):
    platform = await build(tmp_path, config=CONFIG)
    await priced(platform)
    without = await platform.ask("u1", count=20)
    await with_ranker(platform, ranker())
    served = await platform.ask("u1", count=20, trace=True)
    dear, usual = ([one.catalog_item.item.price for one in answer.items] for answer in (served, without))
    assert served.degraded == []
    assert [one.score for one in served.items] == sorted((one.score for one in served.items), reverse=True)
    assert served.items[0].score == without.items[0].score
    assert np.mean(dear) > np.mean(usual) + 0.4
    assert [note.stage for note in served.trace.stages if note.kind in ("features", "fine")] == [
        "features",
        "blend",
        "ranker",
    ]


async def test_without_a_ranker_nothing_is_read_for_it(tmp_path):
    platform = await build(tmp_path, config=CONFIG)
    served = await platform.ask("u1", count=5, trace=True)
    assert not {"features", "ranker"} & {note.stage for note in served.trace.stages}


@pytest.mark.parametrize("how", ["setting", "stage", "weights", "screen"])
async def test_where_the_ranker_is_not_wanted_the_blend_orders(tmp_path, how):
    surfaces = {
        "home": PlacementConfig(
            disabled=("ranker",) if how == "stage" else (), weights={"content": 1.0} if how == "weights" else {}
        )
    }
    config = changed(CONFIG, ranker=how != "setting")
    platform = await build(tmp_path, config=config, placements=surfaces)
    await priced(platform)
    ask = {"count": 20, "item_id": "i3"} if how == "screen" else {"count": 20}
    before = await platform.shown_items(await platform.ask("u1", **ask))
    await with_ranker(platform, ranker())
    assert await platform.shown_items(await platform.ask("u1", **ask)) == before


async def test_a_failed_read_of_features_leaves_the_blend_and_says_so(tmp_path, monkeypatch):
    platform = await build(tmp_path, config=CONFIG)
    await priced(platform)
    before = await platform.shown_items(await platform.ask("u1", count=20))
    await with_ranker(platform, ranker())

    async def broken(*_):
        raise StoreUnavailable("the state store is away")

    monkeypatch.setattr(platform.stores.state, "heads", broken)
    served = await platform.ask("u1", count=20)
    assert served.degraded == ["features", "ranker"]
    assert await platform.shown_items(served) == before


async def test_a_broken_model_leaves_the_blend_and_says_so(tmp_path):
    platform = await build(tmp_path, config=CONFIG)
    before = await platform.shown_items(await platform.ask("u1", count=20))
    await with_ranker(platform, replace(ranker(), heads={}))
    served = await platform.ask("u1", count=20)
    assert served.degraded == ["ranker"]
    assert await platform.shown_items(served) == before


async def test_what_is_served_with_equals_what_is_learned_from(tmp_path):
    """Features by replay of the rows equal those that serving computes from the state that the consumer folded."""
    platform = await build(tmp_path, config=CONFIG)
    rng = np.random.default_rng(2)
    told = []
    users = ["nu0", "nu1", "nu2"]
    for step in range(90):
        platform.clock.time_ms = NOW + step * HOUR // 3
        user, item = int(rng.integers(3)), int(rng.integers(30))
        kind = ("view", "click", "purchase", "rating")[int(rng.integers(4))]
        more = {"rating": 4.5} if kind == "rating" else {}
        await platform.track(users[user], f"i{item}", kind, **more)
        told.append((user, item, platform.clock.now(), kind, more.get("rating", np.nan)))
    names = ("click", "purchase", "rating", "view")
    rows = Interactions(
        np.array([one[0] for one in told], np.int32),
        np.array([one[1] for one in told], np.int32),
        np.array([one[2] for one in told], np.int64),
        np.array([names.index(one[3]) for one in told], np.int16),
        np.array([one[4] for one in told], np.float32),
        names,
    )
    items = {one.ordinal: one for one in await platform.stores.catalog.changes_since(0, 1_000)}
    data = Dataset(rows, users, [None] * 3, [items[ordinal] for ordinal in range(len(items))])
    ports = ReplayPorts(platform.stores.catalog, platform.stores.vectors)
    context = Context(time=platform.clock.now() + HOUR, device="web", page="home", location="DE")
    replay = await Replay.open(data, platform.world.models, np.arange(3), ports, CONFIGS)
    for number, user in enumerate(users):
        query, learned = await replay.ranked(number, context)
        asked = Query(user_id=user, request_id="r", context=context)
        found = dict(await UserState(platform.world).hydrate(asked))
        asked.facts = found.pop("facts")
        asked.scratch.update(found)
        served = await CandidateFeatures(platform.world, every=True).columns(asked, Candidates(learned.items))
        assert len(learned) > 50
        assert asked.scratch["request"] == query.scratch["request"]
        for name, column in served.items():
            assert np.array_equal(column, learned.column(name), equal_nan=True), name
    assert learned.column("item.popularity_score").max() > 0
    assert learned.column("pair.category_affinity").max() > 0


def test_the_blends_scores_go_to_the_candidates_in_the_rankers_order():
    scores = np.array([0.9, 0.1, 0.5], np.float32)
    assert reordered(scores, np.array([1, 3, 2], np.float32)).tolist() == pytest.approx([0.1, 0.9, 0.5])


def test_places_do_not_tell_where_equals_stood():
    found = places(np.array([0.5, 0.9, 0.5, 0.0], np.float32))
    assert np.array_equal(found, np.log1p(np.array([1, 0, 1, np.nan], np.float32)), equal_nan=True)

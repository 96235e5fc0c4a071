"""The ranker in the funnel that serves: what it sees, what it changes, and what happens where it cannot."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import CONFIGS, NOW, build, changed
from tests.unit.training.ranking.examples import QUIET, planted

from kindred.app.asking import build_query
from kindred.app.placements import Placements
from kindred.core.candidates import Candidates
from kindred.core.clock import HOUR
from kindred.core.errors import StoreUnavailable
from kindred.core.event import EventContext, Interaction, ProfileUpdated
from kindred.core.profile import Profile
from kindred.core.query import Query
from kindred.models.ranker import RankerModel, RankerSchema
from kindred.pipeline.funnel import Deadlines
from kindred.pipeline.runner import Runner
from kindred.recommend.ask import Ask
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.funnels import build_funnel
from kindred.recommend.hydrators.features import CandidateFeatures
from kindred.recommend.ranking import CATEGORIES, funnel_columns, matrix, places
from kindred.recommend.scorers.ranker import reordered
from kindred.training.collect import collect
from kindred.training.ranking.examples import make_examples
from kindred.training.ranking.learn import learn_ranker
from kindred.training.replay import Kept, ReplayPorts

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


PEOPLE = [
    Profile(user_id="nu0", country="jp", timezone="Asia/Tokyo", gender="f", birth_year=1990),
    Profile(user_id="nu1", country="US", timezone="America/Los_Angeles", gender="m"),
    Profile(user_id="nu2", birth_year=1950),
]
PLACES = [("tv", "home", "JP"), ("web", "search", "DE"), (None, None, None)]


async def acted(platform, user: int, item: int, kind: str, place=None, **more) -> None:
    """Let a user act on an item, which was shown to them a minute before where no place is given."""
    device, placement, country = place or (None, None, None)
    context = EventContext(device=device, placement=placement, location=country and f"{country}-X", request_id="r")
    shown = {"event_type": "impression", "item_id": f"i{item}", "metadata": {"items": [f"i{item}", "i7"]}}
    done = {"event_type": kind, "item_id": f"i{item}", "metadata": more}
    for number, fields in enumerate((shown, done) if place is None else (done,)):
        now = platform.clock.now()
        name = f"e{now}-{user}-{number}"
        event = Interaction(
            event_id=name, timestamp=now, ingested_at=now, user_id=f"nu{user}", context=context, **fields
        )
        (position,) = await platform.journal.record([event])
        await platform.consumer.drain_to(position)
        platform.clock.time_ms += 60_000


async def served_columns(platform, user: int) -> tuple[Query, Candidates]:
    """Make a request of now through the funnel that serves, up to where the ranker would order."""
    device, placement, country = PLACES[user]
    ask = Ask(user_id=f"nu{user}", placement=placement, device=device, location=country and f"{country}-13")
    surfaces = Placements({page: PlacementConfig() for page in ("home", "search")})
    query = await build_query(ask, "r", platform.clock.now(), surfaces, platform.world)
    kept = Kept()
    live = build_funnel(platform.world, deadlines=Deadlines())
    fine = [*(stage for stage in live.fine if stage.name != "ranker"), kept]
    hydrators = [CandidateFeatures(platform.world, every=True)]
    await Runner().run(replace(live, hydrators=hydrators, fine=fine, filters=(), rerankers=(), draws=None), query)
    assert not query.failures
    return query, kept.candidates


async def test_what_is_served_with_equals_what_is_learned_from(tmp_path):
    """The ranker's columns by replay equal those of the live funnel over the state that the consumer folded."""
    platform = await build(tmp_path, config=CONFIG)
    await platform.stores.profiles.upsert(PEOPLE)
    for profile in PEOPLE:
        now = platform.clock.now()
        told = ProfileUpdated(event_id=f"p{profile.user_id}", timestamp=now, ingested_at=now, profile=profile)
        await platform.consumer.drain_to((await platform.journal.record([told]))[0])
    rng = np.random.default_rng(2)
    for step in range(60):
        platform.clock.time_ms = NOW + step * HOUR // 3
        kind = ("view", "click", "purchase", "rating")[int(rng.integers(4))]
        more = {"rating": 4.5} if kind == "rating" else {}
        await acted(platform, int(rng.integers(3)), int(rng.integers(30)), kind, **more)
    served = []
    cut = platform.clock.now() + HOUR
    for user in range(3):
        platform.clock.time_ms = cut + user * HOUR
        await platform.follower.step()
        served.append(await served_columns(platform, user))
        platform.clock.time_ms += 1
        await acted(platform, user, 40 + user, "purchase", PLACES[user])
    data = await collect(platform.stores)
    future = data.with_rows(data.interactions.timestamps > cut)
    ports = ReplayPorts(platform.stores.catalog, platform.stores.vectors)
    few = replace(CONFIGS, ranker=msgspec.structs.replace(CONFIGS.ranker, min_users=1))
    examples = await make_examples(data, future, platform.world.models, ports, few)
    assert examples is not None
    assert [data.user_ids[user] for user in examples.users] == [f"nu{user}" for user in range(3)]
    assert examples.moments.tolist() == [query.context.time for query, _ in served]
    schema = examples.schema
    told = {name: examples.columns[:, schema.columns.index(name)] for name in (*CATEGORIES, "context.hour_sin")}
    assert all(len(np.unique(column)) > 1 for column in told.values())
    for number, (query, candidates) in enumerate(served):
        mine = np.flatnonzero(examples.requests == number)
        order = np.argsort(candidates.items)
        mine = mine[np.argsort(examples.items[mine])]
        assert np.array_equal(candidates.items[order], examples.items[mine])
        made = matrix(schema, candidates, funnel_columns(candidates), query.scratch["request"])
        for place, name in enumerate(schema.columns):
            assert np.allclose(made[order, place], examples.columns[mine, place], 1e-5, 1e-6, equal_nan=True), name
    exposed = {"item.ctr_24h", "item.ctr_7d", "item.trending_score", "pair.times_shown_without_click"}
    assert not exposed & set(schema.columns)


def test_the_blends_scores_go_to_the_candidates_in_the_rankers_order():
    scores = np.array([0.9, 0.1, 0.5], np.float32)
    assert reordered(scores, np.array([1, 3, 2], np.float32)).tolist() == pytest.approx([0.1, 0.9, 0.5])


def test_places_do_not_tell_where_equals_stood():
    found = places(np.array([0.5, 0.9, 0.5, 0.0], np.float32))
    assert np.array_equal(found, np.log1p(np.array([1, 0, 1, np.nan], np.float32)), equal_nan=True)

"""What a new user chose makes the next answer personal and fades with evidence; starters tell tastes apart."""

import numpy as np
import pytest
from tests.unit.recommend.world import CATEGORIES, NOW, build, changed, item

from kindred.core.event import ProfileUpdated
from kindred.core.profile import Profile
from kindred.core.query import Context, Query, UserFacts
from kindred.core.slate import ReasonCode
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.recommend.ask import ListAsk
from kindred.recommend.config import RecommendConfig
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.starters import audience_similarities, starters
from kindred.recommend.taste import chosen_vector, content_profile

PLAIN = RecommendConfig(exploration=0.0, seed=7, diversity=0.0, category_cap=1.0)


def query(profile: Profile | None, interactions: int = 0, history: tuple[int, ...] = ()) -> Query:
    n = len(history)
    facts = UserFacts(
        known=True,
        history=np.array(history, np.int32),
        confidence=np.ones(n, np.float32),
        positive=np.ones(n, np.bool_),
        last=np.full(n, NOW - 1, np.int64),
        interactions=interactions,
        profile=profile,
    )
    return Query(user_id="new", request_id="r", context=Context(time=NOW), facts=facts)


async def choose(platform, user_id: str, **chosen) -> None:
    profile = Profile(user_id=user_id, **chosen)
    event = ProfileUpdated(event_id=f"p{user_id}", timestamp=NOW, ingested_at=NOW, profile=profile)
    (position,) = await platform.journal.record([event])
    await platform.consumer.drain_to(position)


@pytest.mark.parametrize("category", CATEGORIES[:3])
async def test_a_chosen_category_leads_the_next_answer(tmp_path, category):
    platform = await build(tmp_path, config=PLAIN)

    def share(served) -> float:
        return float(np.mean([category in one.catalog_item.item.categories for one in served.items]))

    before = await platform.ask("new", count=10)
    await choose(platform, "new", preferred_categories=(category,))
    after = await platform.ask("new", count=10)
    assert share(before) < 0.8 <= share(after)
    assert after.strategy == "cold_start_user"
    reasons = [one.reason for one in after.items if one.source == "content"]
    assert reasons
    assert {reason.code for reason in reasons} == {ReasonCode.MATCHES_CHOICES}
    assert all(reason.text == f"Because you chose {category}" for reason in reasons)


async def test_choices_fade_with_evidence(tmp_path):
    world = (await build(tmp_path, config=PLAIN)).world
    profile = Profile(user_id="new", preferred_categories=("horror",), preferred_tags=("mood3",))
    chosen = chosen_vector(world, query(profile))
    near = [float(content_profile(world, query(profile, n, (0,) * bool(n))) @ chosen) for n in (0, 1, 5, 500)]
    assert near[0] == pytest.approx(1)
    assert near == sorted(near, reverse=True)
    liked = content_profile(world, query(None, 500, (0,)))
    assert content_profile(world, query(profile, 100_000, (0,))) == pytest.approx(liked, abs=1e-3)


async def test_choices_begin_a_reserve_of_their_own(tmp_path):
    few = changed(PLAIN, candidates=40, ranked=20, source_depth=15)
    platform = await build(tmp_path, config=few, reserves=ReservesConfig(enabled=True))
    await platform.track("new", "i1")
    await platform.ask("new", count=10)
    await choose(platform, "new", preferred_tags=("tag7",))
    served = await platform.ask("new", count=10)
    chosen = {one.item_id for one in map(item, range(120)) if "tag7" in one.tags}
    bare = await build(tmp_path / "bare", config=few)
    await bare.track("new", "i1")
    await choose(bare, "new", preferred_tags=("tag7",))
    assert await platform.shown_items(served) == await bare.shown_items(await bare.ask("new", count=10))
    assert chosen & set(await platform.shown_items(served))


async def test_unknown_names_change_nothing(tmp_path):
    platform = await build(tmp_path, config=PLAIN)
    before = await platform.shown_items(await platform.ask("new", count=10))
    await choose(platform, "new", preferred_categories=("no such",), preferred_tags=("none",))
    assert await platform.shown_items(await platform.ask("new", count=10)) == before


def two_tastes() -> ItemItemModel:
    """Return a model in which 0, 1, 2 share their audience, and so do 3 and 4; 5 stands alone."""
    near = np.array([[1, 2], [0, 2], [0, 1], [4, -1], [3, -1], [-1, -1]], np.int32)
    return ItemItemModel(near, np.where(near >= 0, np.float32(0.3), 0).astype(np.float32), ItemItemConfig())


def test_starters_stand_for_different_audiences():
    pool, fame = np.array([2, 0, 1, 4, 3, 5], np.int32), np.array([1, 0.9, 0.8, 0.4, 0.3, 0.2], np.float32)
    assert starters(pool, fame, two_tastes(), 3).tolist() == [2, 4, 5]
    assert starters(pool, fame, two_tastes(), 9).tolist()[:3] == [2, 4, 5]
    assert sorted(starters(pool, fame, two_tastes(), 9).tolist()) == list(range(6))


def test_items_without_neighbours_and_newer_ones_are_like_none():
    found = audience_similarities(np.array([9, 3, 5, 4], np.int32), two_tastes())
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]]
    none = np.empty(0, np.int32)
    assert starters(none, none.astype(np.float32), two_tastes(), 5).tolist() == []


async def test_the_list_covers_tastes_that_the_most_popular_leave_out(tmp_path):
    platform = await build(tmp_path, config=PLAIN)
    found = {}
    for kind in ("popular", "starters"):
        answer = await platform.serving.listing(ListAsk(kind=kind, count=5))
        found[kind] = {one.item.categories[0] for one, _, _ in answer.items}
    assert len(found["starters"]) == 5
    assert found["popular"] <= found["starters"]
    only = await platform.serving.listing(ListAsk(kind="starters", category="drama", count=3))
    assert all("drama" in one.item.categories for one, _, _ in only.items)

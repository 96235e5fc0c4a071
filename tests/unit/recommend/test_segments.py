"""What people of one device or trait like leads the answers of new users like them; nothing known changes nothing."""

import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.unit.recommend import world as made
from tests.unit.recommend.world import CATEGORIES, CONFIGS, NOW, build

from kindred.core.errors import BundleCorrupt
from kindred.core.event import ProfileUpdated
from kindred.core.profile import Profile
from kindred.core.query import Context, Query, UserFacts
from kindred.core.slate import ReasonCode
from kindred.models.segments import SegmentsConfig, SegmentsModel
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.model_set import SEASON, SEGMENTS, open_models
from kindred.recommend.sources.lists import SegmentSource
from kindred.recommend.taste import segments_of

PLAIN = RecommendConfig(exploration=0.0, seed=7, diversity=0.0, category_cap=1.0)
TRAITS = replace(CONFIGS, segments=SegmentsConfig(by=("device", "gender"), users=5, prior=1.0))
DEMOGRAPHIC = {"home": PlacementConfig(weights={"segment": 1.0}), "plain": PlacementConfig()}


@pytest.fixture
async def platform(tmp_path, monkeypatch):
    """Return a platform where those who like action are women, all others men."""

    def genders(user_ids: list[str]) -> list[Profile | None]:
        return [Profile(user_id=name, gender="F" if n % 5 == 0 else "M") for n, name in enumerate(user_ids)]

    monkeypatch.setattr(made, "profiles_of", genders)
    return await build(tmp_path, config=PLAIN, configs=TRAITS, placements=DEMOGRAPHIC)


async def introduce(platform, user_id: str, **known) -> None:
    profile = Profile(user_id=user_id, **known)
    event = ProfileUpdated(event_id=f"p{user_id}", timestamp=NOW, ingested_at=NOW, profile=profile)
    (position,) = await platform.journal.record([event])
    await platform.consumer.drain_to(position)


def ids(served) -> list[str]:
    return [one.catalog_item.item.item_id for one in served.items]


def share(served, category: str) -> float:
    return float(np.mean([category in one.catalog_item.item.categories for one in served.items]))


async def test_a_new_user_is_shown_what_people_like_them_like(platform):
    assert set(platform.world.models.segments.places) == {"gender=f", "gender=m"}
    await introduce(platform, "ann", gender="f")
    await introduce(platform, "bob", gender="M")
    unknown, ann, bob = [await platform.ask(user, count=10) for user in ("who", "ann", "bob")]
    assert share(ann, CATEGORIES[0]) >= 0.8 > share(unknown, CATEGORIES[0]) >= share(bob, CATEGORIES[0])
    assert {one.strategy for one in (unknown, ann, bob)} == {"cold_start_user"}
    lifted = [one.reason for one in ann.items if one.reason.code is ReasonCode.POPULAR_IN_SEGMENT]
    assert len(lifted) >= 8
    assert {reason.text for reason in lifted} == {"Popular with people like you (gender f)"}
    assert all(one.source == "segment" for one in ann.items[:8])


@pytest.mark.parametrize("known", [{}, {"gender": "x"}, {"birth_year": 1980}, {"attributes": {"gender": "f"}}])
async def test_who_is_in_no_known_segment_is_shown_what_is_popular(platform, known):
    await introduce(platform, "eve", **known)
    plain = await platform.ask("nobody", count=10)
    served = await platform.ask("eve", count=10)
    assert ids(served) == ids(plain)
    assert {one.source for one in served.items} == {"popular"}
    assert {one.reason.code for one in served.items} == {ReasonCode.POPULAR}


async def test_a_trace_names_the_segments(platform):
    await introduce(platform, "ann", gender="f")
    served = await platform.ask("ann", count=5, trace=True)
    (stage,) = [one for one in served.trace.stages if one.stage == "segment"]
    assert stage.detail["segments"] == ["gender=f"]
    assert stage.detail["proposed"]
    nobody = await platform.ask("nobody", count=5, trace=True)
    assert "segment" not in [one.stage for one in nobody.trace.stages]


async def test_the_source_keeps_to_what_is_allowed(platform):
    await introduce(platform, "ann", gender="f")
    first = ids(await platform.ask("ann", count=5))
    served = await platform.ask("ann", count=10, exclude_items=tuple(first), categories=(CATEGORIES[1],))
    assert not set(first) & set(ids(served))
    assert share(served, CATEGORIES[1]) == 1.0


async def test_evidence_takes_over_smoothly(platform):
    """The demographic part of the score falls with each event, and never all at once."""
    await introduce(platform, "ann", gender="f")
    parts = []
    for number in range(4):
        served = await platform.ask("ann", count=5, placement="plain", trace=True)
        parts.append(sum(one.parts.get("segment", 0.0) for one in served.trace.items))
        await platform.track("ann", f"i{5 * number + 1}", "purchase")
    assert parts[0] > parts[1] > parts[2] > parts[3] > 0


@pytest.mark.parametrize("part", [SEGMENTS, SEASON])
async def test_a_bundle_that_lost_a_part_is_damaged(platform, part):
    manifest, folder = await platform.stores.models.open("b1")
    shutil.rmtree(folder / part)
    with pytest.raises(BundleCorrupt, match=part):
        open_models(manifest, folder, platform.stores.vectors)


def test_models_without_segments_have_no_such_score(platform):
    models = platform.world.models
    assert "segment" in models.scored
    assert "segment" not in replace(models, segments=SegmentsModel.none(models.n_items)).scored


async def test_an_item_newer_than_the_bundle_is_neither_lifted_nor_lost(platform):
    model: SegmentsModel = platform.world.models.segments
    assert model.lifts(["gender=f"], np.array([model.n_items + 5], np.int32)).tolist() == [1.0]


async def test_the_device_of_the_request_is_a_segment(platform):
    device = SegmentsModel(
        {"device=phone": 0},
        np.array([0, 1]),
        np.array([3], np.int32),
        np.array([4.0], np.float32),
        120,
        SegmentsConfig(),
    )
    world = replace(platform.world, models=replace(platform.world.models, segments=device))
    asked = Query(user_id="x", request_id="r", context=Context(time=NOW, device="Phone"), facts=UserFacts())
    assert segments_of(world, asked) == ("device=phone",)
    assert (await SegmentSource(world).propose(asked)).items.tolist() == [3]
    other = msgspec.structs.replace(asked.context, device="tv")
    assert not SegmentSource(world).enabled(replace(asked, context=other, scratch={}))


@pytest.mark.parametrize("most", [1, 128])
async def test_lists_of_segments_are_kept_and_what_is_allowed_is_looked_at_each_time(platform, monkeypatch, most):
    monkeypatch.setattr("kindred.recommend.sources.lists.MOST_SEGMENTS", most)
    source, model = SegmentSource(platform.world), platform.world.models.segments
    scores = platform.world.models.popularity.scores
    for gender, without in (("f", ()), ("m", ()), ("f", ()), ("f", (0, 5, 10)), ("m", (1,)), ("f", ())):
        asked = Query(user_id="x", request_id="r", context=Context(time=NOW), facts=UserFacts())
        asked.facts = replace(
            asked.facts, profile=Profile(user_id="x", gender=gender), hidden=np.array(without, np.int32)
        )
        found = await source.propose(asked)
        items = np.setdiff1d(model.listed([f"gender={gender}"]), without)
        lifted = scores[items] * model.lift(f"gender={gender}", items)
        wanted = items[np.lexsort((items, -lifted))][: np.count_nonzero(lifted > 0)]
        assert found.items.tolist() == wanted[: platform.world.config.source_depth].tolist()
    assert len(source.kept) <= most

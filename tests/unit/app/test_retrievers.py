"""A platform whose bundles hold other retrieval models than the usual two."""

import dataclasses

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import CONFIGS, build, publish

from kindred.core import extras
from kindred.core.slate import ReasonCode
from kindred.models.ease import EaseConfig
from kindred.recommend.ask import SimilarAsk
from kindred.recommend.config import PlacementConfig


class Silent:
    """A retrieval model that cannot say which item of a history brought a candidate."""

    def __init__(self, model):
        self.item_vectors = model.item_vectors
        self.represent, self.spread, self.score = model.represent, model.spread, model.score


def trained_on(*names):
    """Return the world's settings with other retrieval models."""
    training = msgspec.structs.replace(CONFIGS.training, retrieval=names)
    return dataclasses.replace(CONFIGS, training=training, ease=EaseConfig(regularization=10.0))


@pytest.fixture
async def platform(tmp_path):
    surfaces = {
        "home": PlacementConfig(),
        "alone": PlacementConfig(weights={"ease": 1.0}),
        "without": PlacementConfig(disabled=("ease",)),
        "absent": PlacementConfig(weights={"two_tower": 1.0}),
    }
    return await build(tmp_path, configs=trained_on("als", "ease"), placements=surfaces)


async def test_each_model_of_a_bundle_proposes_and_is_blended(platform):
    models = platform.world.models
    assert list(models.retrievers) == ["als", "ease"]
    assert {"als", "content"} == models.indexes.keys()
    assert models.scored == ("als", "ease", "content", "popular", "trending", "country")
    assert models.blend.weights["als"] == models.blend.weights["ease"] > 0
    served = await platform.ask("u1", count=40, trace=True)
    stages = {stage.stage: stage for stage in served.trace.stages}
    assert "item_item" not in stages
    assert stages["ease"].left > 0
    assert any("ease" in one.sources for one in served.items)


async def test_a_placement_weighs_and_switches_off_models_by_name(platform):
    alone = await platform.ask("u1", placement="alone")
    assert {one.source for one in alone.items} == {"ease"}
    assert {one.reason.anchor for one in alone.items} <= set(platform.columns.items[platform.columns.users == 1])
    without = await platform.ask("u1", placement="without")
    assert "ease" not in {source for one in without.items for source in one.sources}
    # What the bundle lacks cannot be weighed: the usual weights hold.
    absent, usual = await platform.ask("u1", placement="absent"), await platform.ask("u1")
    assert [one.ordinal for one in absent.items] == [one.ordinal for one in usual.items]


async def test_similar_items_need_no_source(platform):
    answer = await platform.serving.similar(SimilarAsk(item_id="i1", count=5, metric="collaborative"))
    assert len(answer.items) == 5


async def test_no_retrieval_model_at_all_leaves_content_and_lists(tmp_path):
    platform = await build(tmp_path, configs=trained_on())
    assert platform.world.models.als is None
    served = await platform.ask("u1")
    assert len(served.items) == 20
    assert {one.source for one in served.items} <= {"content", "popular", "trending", "country", "new"}


async def test_a_vector_model_that_cannot_say_why_names_the_nearest_liked_item(platform):
    retrievers = platform.world.models.retrievers
    factors = retrievers["als"].item_factors
    retrievers["als"] = Silent(retrievers["als"])
    served = await platform.ask("u1")
    mine = [one for one in served.items if one.source == "als"]
    assert mine
    history = platform.columns.items[platform.columns.users == 1]
    for one in mine:
        assert one.reason.anchor in history
        assert factors[one.reason.anchor] @ factors[one.ordinal] > 0


async def test_a_model_that_cannot_name_an_item_says_that(platform):
    retrievers = platform.world.models.retrievers
    retrievers["ease"] = Silent(retrievers["ease"])
    served = await platform.ask("u1", placement="alone")
    assert {one.reason.code for one in served.items} == {ReasonCode.LIKE_MINDED}
    assert all(one.reason.anchor is None for one in served.items)


async def test_a_bundle_whose_extra_is_missing_is_refused_and_the_old_one_serves(platform, monkeypatch):
    before = [one.ordinal for one in (await platform.ask("u1")).items]
    manifest, folder = await platform.stores.models.open("b1")
    monkeypatch.setitem(extras.MODULES, "onnx", ("a_module_that_is_not_there",))
    neural = msgspec.structs.replace(manifest, version="b2", retrievers=(*manifest.retrievers, "two_tower"))
    await platform.stores.models.publish(folder, neural)
    await platform.follower.step()
    assert "pip install 'kindred[onnx]'" in platform.serving.warnings()[0]
    served = await platform.ask("u1")
    assert (served.model_version, [one.ordinal for one in served.items]) == ("b1", before)


async def test_another_bundle_may_hold_other_models(platform):
    await publish(platform.stores, platform.columns, platform.user_ids, "b2", trained_on("item_item"))
    await platform.follower.step()
    served = await platform.ask("u1", trace=True)
    assert served.model_version == "b2"
    assert list(platform.world.models.retrievers) == ["item_item"]
    scores = np.array([one.score for one in served.items])
    assert (scores > 0).all()

"""What the follower takes over, what it refuses, and what a full side segment costs."""

import pytest
from tests.unit.recommend.world import NOW, build, item, publish

from kindred.app.follower import encode_changes
from kindred.core.errors import BundleCorrupt, StoreFull, StoreUnavailable
from kindred.core.item import CatalogItem
from kindred.core.position import Position
from kindred.recommend.side import ContentSide


@pytest.fixture
async def platform(tmp_path):
    return await build(tmp_path)


async def test_what_the_index_has_no_room_for_does_not_grow_the_side(platform, monkeypatch):
    """The side is copied whole at each change, so that beyond the bound it would stop the server."""

    def full(ordinals, vectors):
        raise StoreFull("50,000 fit beside the bundle")

    models = platform.world.models
    side = ContentSide(models.content.dimensions)
    monkeypatch.setattr(models.indexes["content"], "upsert", full)
    with pytest.raises(StoreFull):
        encode_changes(models, side, [CatalogItem(ordinal=1, seq=1, listed=True, item=item(1), updated=NOW)])
    assert len(side) == 0


async def test_a_refused_bundle_that_was_restored_is_taken_over(platform, monkeypatch):
    """It has the version that was refused, so that nothing but another look can tell."""
    opened = platform.stores.models.open
    looks = []

    async def damaged(version):
        looks.append(version)
        raise BundleCorrupt("cut short")

    await publish(platform.stores, platform.columns, platform.user_ids, "b2")
    monkeypatch.setattr(platform.stores.models, "open", damaged)
    await platform.follower.step()
    await platform.follower.step()
    assert looks == ["b2"]
    assert platform.follower.refused == "cut short"
    monkeypatch.setattr(platform.stores.models, "open", opened)
    monkeypatch.setattr(platform.follower, "_refused_until", 0.0)
    await platform.follower.step()
    assert platform.follower.refused is None
    assert platform.world.models.version == "b2"


async def test_a_store_that_fails_while_a_change_is_awaited_is_no_refusal(platform, monkeypatch):
    """The change stands in the log: a 503 would say that nothing was claimed."""

    async def broken(partition=0):
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(platform.stores.state, "watermark", broken)
    assert not await platform.serving.wait_for(Position(0, 0, 0), 1.0)

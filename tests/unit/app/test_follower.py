"""What the follower takes over, what it refuses, and what a full side segment costs."""

import asyncio
import dataclasses
import gc
import queue
import weakref
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import NOW, build, item, publish

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.app import follower as following
from kindred.app.follower import Follower, encode_changes
from kindred.core.errors import BundleCorrupt, StoreFull, StoreUnavailable
from kindred.core.item import CatalogItem
from kindred.core.position import Position
from kindred.models.preference import PreferenceConfig
from kindred.ports.telemetry import NoMeter
from kindred.recommend.ask import Ask, SearchAsk
from kindred.recommend.config import RecommendConfig
from kindred.recommend.item_table import ITEMS
from kindred.recommend.items import postings
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.side import ContentSide
from kindred.recommend.world import World


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
        encode_changes(models, side, [CatalogItem(ordinal=1, seq=1, listed=True, item=item(2), updated=NOW)])
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


def _reads(stores, monkeypatch) -> list[int]:
    """Note from which change on the catalogue's feed is read."""
    asked, changes_since = [], stores.catalog.changes_since

    async def noted(seq, limit):
        asked.append(seq)
        return await changes_since(seq, limit)

    monkeypatch.setattr(stores.catalog, "changes_since", noted)
    return asked


def _follower(platform) -> Follower:
    return Follower(platform.stores, platform.clock, RecommendConfig(), PreferenceConfig(), NoMeter())


async def test_a_server_starts_from_the_bundles_catalogue_and_reads_what_came_later(platform, monkeypatch):
    await platform.upsert(msgspec.structs.replace(item(3), stock=0), msgspec.structs.replace(item(3), item_id="later"))
    asked = _reads(platform.stores, monkeypatch)
    follower = _follower(platform)
    await follower.step()
    assert min(asked) == 120
    table, live = follower.table, platform.follower.table
    assert (table.size, table.seq) == (121, 122)
    assert not table.available(NOW).bits.has(np.array([3])).any()
    for found, wanted in (
        (table.available(NOW), live.available(NOW)),
        (table.in_categories(["horror"]), live.in_categories(["horror"])),
        (table.with_tags(["tag3"]), live.with_tags(["tag3"])),
    ):
        assert found.bits.mask().tolist() == wanted.bits.mask().tolist()


async def test_a_catalogue_that_was_put_back_is_read_from_its_first_change(platform, monkeypatch):
    older = MemoryCatalog()
    await older.upsert([item(n) for n in range(59, -1, -1)], NOW)
    platform.stores = dataclasses.replace(platform.stores, catalog=older)
    asked = _reads(platform.stores, monkeypatch)
    follower = _follower(platform)
    await follower.step()
    assert min(asked) == 0
    assert follower.table.size == 60
    assert follower.table.category_of(0) == item(59).category


async def test_a_damaged_copy_of_the_catalogue_is_read_anew(platform, monkeypatch):
    _, folder = await platform.stores.models.open("b1")
    (folder / ITEMS / "stock.npy").write_bytes(b"\x93NUMPY cut short")
    asked = _reads(platform.stores, monkeypatch)
    follower = _follower(platform)
    await follower.step()
    assert min(asked) == 0
    assert follower.table.size == 120


async def test_many_changes_are_put_into_arrays_and_nothing_is_lost(platform, monkeypatch):
    monkeypatch.setattr(postings, "_LOOSE", 3)
    changed = [msgspec.structs.replace(item(n), categories=["Fresh"], tags=[]) for n in range(0, 120, 2)]
    await platform.upsert(*changed)
    table = platform.follower.table
    assert not table.unsettled
    assert table.in_categories(["fresh"]).bits.ordinals().tolist() == list(range(0, 120, 2))
    assert not table.in_categories(["action"]).bits.has(np.array([0, 10])).any()
    assert table.in_categories(["action"]).bits.has(np.array([5, 15])).all()


async def test_a_server_touches_what_it_opened_and_a_command_does_not(platform, monkeypatch):
    touched: queue.SimpleQueue[Path] = queue.SimpleQueue()
    monkeypatch.setattr(following, "touch", touched.put)
    await _follower(platform).step()
    serving = _follower(platform)
    serving.touches = True
    await serving.step()
    assert await asyncio.to_thread(touched.get, timeout=60) == platform.stores.home
    assert touched.empty()


def _opened(monkeypatch) -> list[str]:
    """Note which bundles are opened."""
    versions, opened = [], following.open_models

    def noted(manifest, *rest):
        versions.append(manifest.version)
        return opened(manifest, *rest)

    monkeypatch.setattr(following, "open_models", noted)
    return versions


def _full(world, monkeypatch) -> None:
    def full(ordinals, vectors):
        raise StoreFull("50,000 fit beside the bundle")

    monkeypatch.setattr(world.models.indexes["content"], "upsert", full)


async def _succeed(platform) -> None:
    await publish(platform.stores, platform.columns, platform.user_ids, "b2")
    await platform.follower.step()


async def test_questions_about_an_older_bundle_share_one_that_follows_the_catalogue(platform, monkeypatch):
    served = await platform.ask("u1")
    await _succeed(platform)
    versions = _opened(monkeypatch)
    asked = [platform.serving.why_not(served.request_id, f"i{number}") for number in range(5)]
    await asyncio.gather(*asked, platform.serving.trace(served.request_id))
    assert versions == ["b1"]
    older = await platform.follower.kept("b1")
    assert (await older.cards.of([0]))[0].item.title != "x"
    await platform.upsert(
        msgspec.structs.replace(item(3), item_id="later"), msgspec.structs.replace(item(0), title="x")
    )
    assert await platform.follower.kept("b1") is older
    assert older.content_vectors(np.array([120], np.int32)).any()
    assert (await older.cards.of([0]))[0].item.title == "x"
    assert versions == ["b1"]


async def test_an_older_bundle_is_let_go_when_nobody_asks_any_more(platform, monkeypatch):
    monkeypatch.setattr(following, "OLDER_SECONDS", 0.01)
    await _succeed(platform)
    older = weakref.ref((await platform.follower.kept("b1")).newcomers)
    async with asyncio.timeout(20):
        while older() is not None:
            await asyncio.sleep(0.01)
            gc.collect()


async def test_what_an_older_bundle_has_no_room_for_is_no_warning_of_the_server(platform, monkeypatch):
    """Nor does an older one that has room take back the warning."""
    await _succeed(platform)
    older = await platform.follower.kept("b1")
    _full(older, monkeypatch)
    await platform.upsert(msgspec.structs.replace(item(3), item_id="later"))
    await platform.follower.kept("b1")
    assert platform.follower.crowded is None
    monkeypatch.undo()
    _full(platform.world, monkeypatch)
    await platform.upsert(msgspec.structs.replace(item(3), item_id="latest"))
    await platform.follower.kept("b1")
    assert platform.follower.crowded == "50,000 fit beside the bundle"


async def test_a_new_bundle_takes_back_that_the_one_before_it_was_full(platform, monkeypatch):
    _full(platform.world, monkeypatch)
    await platform.upsert(msgspec.structs.replace(item(3), item_id="later"))
    assert platform.follower.crowded
    await _succeed(platform)
    assert platform.follower.crowded is None


async def test_a_bundle_that_there_is_no_room_for_is_refused_and_the_one_before_it_serves(platform, monkeypatch):
    """Else all of its models would be opened again ten times a second, and the server would not be ready."""

    def full(manifest, *_):
        looks.append(manifest.version)
        raise StoreFull("50,000 fit beside the bundle")

    looks = []
    monkeypatch.setattr(following, "open_models", full)
    await _succeed(platform)
    await platform.follower.step()
    assert (looks, platform.world.models.version) == (["b2"], "b1")
    assert platform.serving.ready() == []
    assert "50,000 fit" in platform.serving.warnings()[0]


async def test_a_trace_goes_without_an_older_bundle_that_has_no_room_here(platform, monkeypatch):
    def full(*_):
        raise StoreFull("50,000 fit beside the bundle")

    served = await platform.ask("u1")
    await _succeed(platform)
    monkeypatch.setattr(following, "open_models", full)
    assert not (await platform.serving.trace(served.request_id)).exact


async def test_a_world_goes_with_its_bundle_without_a_look_for_circles(tmp_path):
    """What a server froze out of its collector's sight would stay for good, and with it a mapped bundle."""
    platform = await build(tmp_path, reserves=ReservesConfig(enabled=True))
    gc.collect()
    gc.disable()
    try:
        for version in ("b2", "b3"):
            await platform.ask("u1")
            await platform.serving.search(SearchAsk(Ask(user_id="u1", count=5), "star"))
            await platform.serving.drain()
            await publish(platform.stores, platform.columns, platform.user_ids, version)
            await platform.follower.step()
        await platform.ask("u1")
        await platform.serving.drain()
        worlds = [one for one in gc.get_objects() if type(one) is World and one.state is platform.stores.state]
    finally:
        gc.enable()
    assert [one.models.version for one in worlds] == ["b3"]

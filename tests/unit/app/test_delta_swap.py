"""A server takes deltas over while it answers: no request is dropped, each keeps one bundle throughout."""

import asyncio

import numpy as np
from tests.unit.recommend.world import NOW, build

from kindred.core.bundle import DataWindow, Manifest
from kindred.models.layers import save_patch
from kindred.recommend.model_set import ModelSet


async def publish_delta(platform, models: ModelSet, version: str, factor: float) -> None:
    """Publish a delta in which item 0 has another factor and more users."""
    stores, manifest = platform.stores, models.manifest
    folder = await stores.models.stage()
    vector = models.als.item_factors[:1] * np.float32(factor)
    save_patch(folder / "als", "item_factors", np.array([0], np.int32), vector)
    save_patch(folder / "popularity", "user_counts", np.array([0], np.int32), np.array([77], np.int32))
    base = manifest.base or manifest.version
    deltas = (*manifest.deltas, manifest.version) if manifest.base else ()
    window = DataWindow(catalogue_seq=manifest.window.catalogue_seq)
    made = Manifest(
        version=version,
        created=NOW,
        base=base,
        deltas=deltas,
        n_items=models.n_items,
        window=window,
        retrievers=manifest.retrievers,
    )
    await stores.models.publish(folder, made)


async def test_requests_go_on_while_deltas_are_taken_over(tmp_path):
    platform = await build(tmp_path)
    versions, stop = [], asyncio.Event()

    async def asking(user: int) -> None:
        while not stop.is_set():
            served = await platform.ask(f"u{user}")
            assert served.items
            assert served.degraded == []
            versions.append(served.model_version)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(asking(user)) for user in range(4)]
    for number in range(3):
        await publish_delta(platform, platform.world.models, f"d{number}", 1.1)
        await platform.follower.step()
        seen = len(versions)
        while len(versions) < seen + 8:
            await asyncio.sleep(0)
    stop.set()
    await asyncio.gather(*tasks)
    assert [*dict.fromkeys(versions)] == ["b1", "d0", "d1", "d2"]
    models = platform.world.models
    assert models.popularity.user_counts[0] == 77
    index, _ = models.indexes["als"].search(models.als.item_factors[0], 5)
    exact = np.argsort(-(models.als.item_factors @ models.als.item_factors[0]), kind="stable")[:5]
    assert index.tolist() == exact.tolist()


async def test_a_delta_whose_base_is_gone_is_refused_and_the_world_stays(tmp_path):
    platform = await build(tmp_path)
    await publish_delta(platform, platform.world.models, "d0", 1.1)
    del platform.stores.models._bundles["b1"]
    await platform.follower.step()
    assert "b1" in (platform.follower.refused or "")
    assert platform.world.models.version == "b1"
    assert (await platform.ask("u1")).items

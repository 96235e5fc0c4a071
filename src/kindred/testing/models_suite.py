"""What every model store must do: subclass `ModelsSuite`, say how yours is opened, and run it by pytest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.core.bundle import DataWindow, Manifest
from kindred.core.errors import BundleCorrupt, BundleMismatch, Conflict, NotFound
from kindred.ports.models import ModelStore


class ModelsSuite:
    """The suite of the ModelStore port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> ModelStore:
        """Open the bundles kept under `home`."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its store is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[ModelStore]:
        """Open the store for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def publish(
        self,
        store: ModelStore,
        version: str,
        created: int = 1,
        activate: bool = True,
        base: str | None = None,
        deltas: tuple[str, ...] = (),
    ) -> Manifest:
        """Publish a bundle of two files and return its manifest as it was given."""
        folder = await store.stage()
        assert list(folder.iterdir()) == []
        (folder / "als").mkdir()
        (folder / "als" / "items.npy").write_bytes(version.encode() * 100)
        (folder / "popular.npy").write_bytes(b"popular")
        manifest = Manifest(
            version=version,
            created=created,
            base=base,
            deltas=deltas,
            metrics={"ndcg": 0.25},
            window=DataWindow(interactions=7, last=5),
        )
        await store.publish(folder, manifest, activate)
        return manifest

    async def test_an_empty_store_has_no_bundle(self, tmp_path: Path) -> None:
        """Nothing is active, nothing listed, nothing opened or activated."""
        async with self.opened(tmp_path) as store:
            assert await store.active() is None
            assert await store.bundles() == []
            for call in (store.open, store.activate):
                with pytest.raises(NotFound, match="v1"):
                    await call("v1")
            await store.check()

    async def test_a_published_bundle_is_whole_and_active(self, tmp_path: Path) -> None:
        """Its manifest lists every file with its size, and its folder holds them."""
        async with self.opened(tmp_path) as store:
            given = await self.publish(store, "v1")
            assert await store.active() == "v1"
            manifest, folder = await store.open("v1")
            assert {name: size for name, (size, _) in manifest.files.items()} == {
                "als/items.npy": 200,
                "popular.npy": 7,
            }
            assert (manifest.metrics, manifest.window) == (given.metrics, given.window)
            assert (folder / "als" / "items.npy").read_bytes() == b"v1" * 100
            assert [each.version for each in await store.bundles()] == ["v1"]

    async def test_activating_points_elsewhere_and_back(self, tmp_path: Path) -> None:
        """A bundle may be published without being used; any kept version can be pointed at."""
        async with self.opened(tmp_path) as store:
            await self.publish(store, "v1", 1)
            await self.publish(store, "v2", 2, activate=False)
            assert await store.active() == "v1"
            await store.activate("v2")
            assert await store.active() == "v2"
            with pytest.raises(NotFound):
                await store.activate("v9")
            await store.activate("v1")
            assert await store.active() == "v1"
            assert [each.version for each in await store.bundles()] == ["v2", "v1"]

    async def test_a_version_is_published_once(self, tmp_path: Path) -> None:
        """A second bundle of the same version is refused and the first stays as it was."""
        async with self.opened(tmp_path) as store:
            await self.publish(store, "v1")
            with pytest.raises(Conflict, match="v1"):
                await self.publish(store, "v1")
            await store.open("v1")

    async def test_staged_folders_are_apart_and_not_bundles(self, tmp_path: Path) -> None:
        """Two trainings may write at once; what is staged is not listed."""
        async with self.opened(tmp_path) as store:
            one, two = await store.stage(), await store.stage()
            assert one != two
            (one / "half.npy").write_bytes(b"half")
            assert await store.bundles() == []

    async def test_pruning_keeps_the_newest_and_the_active(self, tmp_path: Path) -> None:
        """The rest goes, and is not found any more."""
        async with self.opened(tmp_path) as store:
            for number in range(1, 6):
                await self.publish(store, f"v{number}", number)
            await store.activate("v1")
            assert sorted(await store.prune(2)) == ["v2", "v3"]
            assert [each.version for each in await store.bundles()] == ["v5", "v4", "v1"]
            with pytest.raises(NotFound):
                await store.open("v2")
            assert await store.prune(2) == []

    async def test_pruning_keeps_what_deltas_need(self, tmp_path: Path) -> None:
        """A delta is worth nothing without its base and the deltas between; what nothing needs goes."""
        async with self.opened(tmp_path) as store:
            await self.publish(store, "old", 1)
            await self.publish(store, "b1", 2)
            await self.publish(store, "d1", 3, base="b1")
            await self.publish(store, "d2", 4, base="b1", deltas=("d1",))
            await self.publish(store, "b2", 5, activate=False)
            assert await store.prune(1) == ["old"]
            manifest, _ = await store.open("d2")
            assert manifest.needs == ("b1", "d1")
            await self.publish(store, "d3", 6, base="b2")
            assert sorted(await store.prune(1)) == ["b1", "d1", "d2"]
            await store.activate("d3")

    async def test_a_delta_without_its_base_is_not_published(self, tmp_path: Path) -> None:
        """What was active stays."""
        async with self.opened(tmp_path) as store:
            await self.publish(store, "b1")
            with pytest.raises(NotFound, match="b9"):
                await self.publish(store, "d1", 2, base="b9")
            assert await store.active() == "b1"
            assert [each.version for each in await store.bundles()] == ["b1"]

    async def test_a_delta_over_a_damaged_base_is_not_activated(self, tmp_path: Path) -> None:
        """What it needs is looked at too."""
        async with self.opened(tmp_path) as store:
            await self.publish(store, "b1", 1)
            await self.publish(store, "d1", 2, activate=False, base="b1")
            _, folder = await store.open("b1")
            (folder / "popular.npy").write_bytes(b"cut")
            with pytest.raises(BundleCorrupt, match=r"popular\.npy"):
                await store.activate("d1")
            assert await store.active() == "b1"

    async def test_a_file_cut_short_or_missing_is_corrupt(self, tmp_path: Path) -> None:
        """Opening and activating say which file it is; the active bundle stays as it was."""
        async with self.opened(tmp_path) as store:
            await self.publish(store, "v1", 1)
            await self.publish(store, "v2", 2, activate=False)
            _, folder = await store.open("v2")
            file = folder / "als" / "items.npy"
            file.write_bytes(file.read_bytes()[:-1])
            for call in (store.open, store.activate):
                with pytest.raises(BundleCorrupt, match=r"items\.npy"):
                    await call("v2")
            file.unlink()
            with pytest.raises(BundleCorrupt, match=r"items\.npy"):
                await store.open("v2")
            assert await store.active() == "v1"

    async def test_a_bundle_of_another_schema_is_a_mismatch(self, tmp_path: Path) -> None:
        """It is neither opened nor activated."""
        async with self.opened(tmp_path) as store:
            folder = await store.stage()
            await store.publish(folder, Manifest(version="v1", created=1, schema="other-9"), activate=False)
            for call in (store.open, store.activate):
                with pytest.raises(BundleMismatch, match="other-9"):
                    await call("v1")

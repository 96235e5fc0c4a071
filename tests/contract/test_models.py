"""The model stores keep their port's contract; the local one finds damage and survives crashes."""

import os
from pathlib import Path

import pytest

from kindred.adapters.local import models as local
from kindred.adapters.memory import models as memory
from kindred.core.bundle import Manifest
from kindred.core.errors import BundleCorrupt, InvalidInput
from kindred.ports.models import ModelStore
from kindred.testing.models_suite import ModelsSuite


class TestMemoryModels(ModelsSuite):
    async def open_store(self, home: Path) -> ModelStore:
        return await memory.open_models("", home)


class TestLocalModels(ModelsSuite):
    async def open_store(self, home: Path) -> ModelStore:
        return await local.open_models("bundles", home)


@pytest.fixture
async def store(tmp_path: Path) -> ModelStore:
    store = await local.open_models("", tmp_path)
    folder = await store.stage()
    (folder / "a.npy").write_bytes(b"a" * 100)
    await store.publish(folder, Manifest(version="v1", created=1))
    return store


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
async def test_a_damaged_manifest_is_corrupt(store: ModelStore, tmp_path: Path, damage: str) -> None:
    manifest = tmp_path / "bundles" / "v1" / "manifest.json"
    match damage:
        case "missing":
            manifest.unlink()
        case "cut":
            manifest.write_bytes(manifest.read_bytes()[:-20])
        case "other":
            manifest.write_text('{"schema": "kindred-bundle-4", "version": 7}')
    with pytest.raises(BundleCorrupt, match=r"manifest\.json"):
        await store.open("v1")
    assert await store.bundles() == []


async def test_changed_bytes_of_equal_size_are_found_when_activated(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "bundles" / "v1" / "a.npy").write_bytes(b"b" * 100)
    await store.open("v1")
    with pytest.raises(BundleCorrupt, match=r"a\.npy"):
        await store.activate("v1")


async def test_a_manifest_cannot_list_files_outside(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "bundles" / "v1" / "manifest.json").write_text(
        '{"schema": "kindred-bundle-4", "version": "v1", "created": 1, "files": {"../ACTIVE": [3, ""]}}'
    )
    with pytest.raises(BundleCorrupt, match="outside"):
        await store.open("v1")


async def test_a_version_cannot_leave_the_folder(store: ModelStore) -> None:
    for version in ("../v1", ".staging", "", "a/b"):
        with pytest.raises(InvalidInput, match="version"):
            await store.open(version)


async def test_a_crash_before_the_rename_leaves_the_active_bundle(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = await store.stage()
    (folder / "a.npy").write_bytes(b"new")

    def crash(self: Path, target: Path) -> None:
        raise OSError(5, "crashed")

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(Exception, match="crashed"):
        await store.publish(folder, Manifest(version="v2", created=2))
    monkeypatch.undo()
    again = await local.open_models("", tmp_path)
    assert await again.active() == "v1"
    assert [each.version for each in await again.bundles()] == ["v1"]


async def test_files_and_folders_are_synced_before_the_rename(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = await store.stage()
    (folder / "deep").mkdir()
    (folder / "deep" / "a.npy").write_bytes(b"new")
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(handle: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    await store.publish(folder, Manifest(version="v2", created=2))
    before, after = steps[: steps.index("rename")], steps[steps.index("rename") :]
    assert {"sync manifest.json", "sync deep", "sync a.npy", f"sync {folder.name}"} <= set(before)
    assert after[1] == "sync bundles"
    assert [step for step in after if "ACTIVE" in step], after


async def test_what_was_staged_long_ago_is_swept(store: ModelStore) -> None:
    old, new = await store.stage(), await store.stage()
    os.utime(old, (0, 0))
    await store.prune(5)
    assert not old.exists()
    assert new.exists()

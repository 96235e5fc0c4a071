"""Bundles as folders, and a small file that names the active one."""

import asyncio
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import msgspec

from kindred.adapters.local.bundle_files import MANIFEST, check_files, list_files, read_manifest
from kindred.core import files
from kindred.core.bundle import Manifest, kept_versions
from kindred.core.errors import BundleError, Conflict, InvalidInput, NotFound, StoreUnavailable
from kindred.ports.resource import Capabilities

ACTIVE = "ACTIVE"
STAGING = ".staging"

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_ABANDONED_SECONDS = 24 * 3600


class LocalModelStore:
    """`<version>/` per bundle; a bundle appears whole by a rename, and `ACTIVE` is replaced by another."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder of bundles; raise StoreUnavailable or StoreFull."""
        self._folder = folder
        with files.translating(str(folder)):
            files.make_folder(folder / STAGING)

    @property
    def capabilities(self) -> Capabilities:
        """Return durable and shared: any process opens what one published."""
        return Capabilities(durable=True, shared=True)

    @property
    def place(self) -> Path:
        """Return the folder of bundles."""
        return self._folder

    async def copy_to(self, place: Path) -> None:
        """Copy all bundles that can be read, and which of them is active; whoever calls it keeps trainers out."""
        active = await self.active()

        def work() -> None:
            with files.translating(str(place)):
                files.make_folder(place)
                for each in self._manifests():
                    shutil.copytree(self._folder / each.version, place / each.version)
                if active is not None:
                    files.replace_file(place / ACTIVE, f"{active}\n".encode())
                for path in sorted(place.rglob("*"), reverse=True):
                    files.sync(path)

        await asyncio.to_thread(work)

    async def stage(self) -> Path:
        """Return a new empty folder beside the bundles, so that publishing is a rename; raise StoreFull."""
        with files.translating(str(self._folder)):
            return Path(tempfile.mkdtemp(dir=self._folder / STAGING))

    async def publish(self, folder: Path, manifest: Manifest, activate: bool = True) -> None:
        """Seal a staged folder; raise StoreFull, Conflict when the version is there already, or NotFound as below."""
        await asyncio.to_thread(self._publish, folder, manifest, activate)

    async def active(self) -> str | None:
        """Return the version that `ACTIVE` names, or None (tens of microseconds)."""
        with files.translating(str(self._folder)):
            try:
                return (self._folder / ACTIVE).read_text("utf-8").strip() or None
            except FileNotFoundError:
                return None

    async def activate(self, version: str) -> None:
        """Point at a version after reading all of its files; raise NotFound, BundleCorrupt or BundleMismatch."""

        def work() -> None:
            manifest = read_manifest(self._existing(version))
            for each in (*manifest.needs, version):
                folder = self._existing(each)
                check_files(folder, read_manifest(folder), hashes=True)
            self._point(version)

        await asyncio.to_thread(work)

    async def bundles(self) -> list[Manifest]:
        """Return the manifests that can be read, newest first."""
        return await asyncio.to_thread(self._manifests)

    async def open(self, version: str) -> tuple[Manifest, Path]:
        """Return a bundle whose files have their sizes; raise NotFound, BundleCorrupt or BundleMismatch."""
        folder = self._existing(version)
        manifest = read_manifest(folder)
        check_files(folder, manifest, hashes=False)
        return manifest, folder

    async def prune(self, keep: int) -> list[str]:
        """Delete all but the newest bases and deltas, what is active or needed, and what was staged a day ago."""
        active = await self.active()

        def work() -> list[str]:
            manifests = self._manifests()
            kept = kept_versions(manifests, keep, active)
            doomed = [each.version for each in manifests if each.version not in kept]
            with files.translating(str(self._folder)):
                for version in doomed:
                    # Renamed first: half a bundle must never be found under its version.
                    grave = Path(tempfile.mkdtemp(dir=self._folder / STAGING))
                    (self._folder / version).rename(grave / version)
                    shutil.rmtree(grave)
                self._sweep_staging()
            return doomed

        return await asyncio.to_thread(work)

    async def check(self) -> None:
        """See that the folder is there and writable; raise StoreUnavailable."""
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise StoreUnavailable(f"{self._folder}: make the folder, and writable for this user")

    async def close(self) -> None:
        """Do nothing: no file is kept open."""

    def _publish(self, folder: Path, manifest: Manifest, activate: bool) -> None:
        target = self._path(manifest.version)
        if target.exists():
            raise Conflict(f"bundle {manifest.version} is there already; publish under another version")
        for needed in manifest.needs:
            if not self._path(needed).is_dir():
                raise NotFound(f"bundle {manifest.version} needs {needed}, which is not kept")
        with files.translating(str(self._folder)):
            sealed = msgspec.structs.replace(manifest, files=list_files(folder))
            (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(sealed), indent=2))
            folder.chmod(0o755)
            for path in sorted(folder.rglob("*"), reverse=True):
                files.sync(path)
            files.sync(folder)
            folder.rename(target)
            files.sync(self._folder)
        if activate:
            self._point(manifest.version)

    def _point(self, version: str) -> None:
        with files.translating(str(self._folder)):
            files.replace_file(self._folder / ACTIVE, f"{version}\n".encode())

    def _manifests(self) -> list[Manifest]:
        found = []
        with files.translating(str(self._folder)):
            folders = [path for path in self._folder.iterdir() if path.is_dir() and _VERSION.fullmatch(path.name)]
        for folder in folders:
            try:
                found.append(read_manifest(folder))
            except BundleError:
                # A damaged bundle is reported by whoever asks for it by name.
                continue
        return sorted(found, key=lambda each: (each.created, each.version), reverse=True)

    def _sweep_staging(self) -> None:
        for path in (self._folder / STAGING).iterdir():
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)

    def _existing(self, version: str) -> Path:
        folder = self._path(version)
        if not folder.is_dir():
            raise NotFound(f"no bundle {version!r}; `kindred models list` shows what there is")
        return folder

    def _path(self, version: str) -> Path:
        if not _VERSION.fullmatch(version):
            raise InvalidInput.at("/version", f"may have letters, digits, `_`, `.` and `-`, is {version[:40]!r}")
        return self._folder / version


async def open_models(location: str, home: Path) -> LocalModelStore:
    """Open the bundles in folder `location` of `home` (`bundles` where empty)."""
    return LocalModelStore(home / (location or "bundles"))

"""Bundles that live as long as the process: manifests in memory, files in a temporary folder."""

import shutil
import tempfile
from pathlib import Path

import msgspec

from kindred.core.bundle import SCHEMA, Manifest, kept_versions
from kindred.core.errors import BundleCorrupt, BundleMismatch, Conflict, NotFound
from kindred.ports.resource import Capabilities


class MemoryModelStore:
    """Manifests by version; the files are real, since models map them, and go when the store is closed."""

    def __init__(self) -> None:
        """Start empty."""
        self._folder = Path(tempfile.mkdtemp(prefix="kindred-bundles-"))
        self._bundles: dict[str, tuple[Manifest, Path]] = {}
        self._active: str | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Return that nothing is promised: one process, and nothing outlives it."""
        return Capabilities()

    async def stage(self) -> Path:
        """Return a new empty folder."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    async def publish(self, folder: Path, manifest: Manifest, activate: bool = True) -> None:
        """Keep a staged folder under the manifest's version; raise Conflict when it is there already."""
        if manifest.version in self._bundles:
            raise Conflict(f"bundle {manifest.version} is there already; publish under another version")
        for needed in manifest.needs:
            if needed not in self._bundles:
                raise NotFound(f"bundle {manifest.version} needs {needed}, which is not kept")
        listed = {
            path.relative_to(folder).as_posix(): (path.stat().st_size, "")
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self._bundles[manifest.version] = msgspec.structs.replace(manifest, files=listed), folder
        if activate:
            self._active = manifest.version

    async def active(self) -> str | None:
        """Return the version that servers should use, or None."""
        return self._active

    async def activate(self, version: str) -> None:
        """Point at a kept version; raise NotFound, BundleCorrupt or BundleMismatch, of what it needs too."""
        manifest, _ = await self.open(version)
        for needed in manifest.needs:
            await self.open(needed)
        self._active = version

    async def bundles(self) -> list[Manifest]:
        """Return the manifests, newest first."""
        found = [manifest for manifest, _ in self._bundles.values()]
        return sorted(found, key=lambda each: (each.created, each.version), reverse=True)

    async def open(self, version: str) -> tuple[Manifest, Path]:
        """Return a bundle whose files have their sizes; raise NotFound, BundleCorrupt or BundleMismatch."""
        if version not in self._bundles:
            raise NotFound(f"no bundle {version!r}")
        manifest, folder = self._bundles[version]
        if manifest.schema != SCHEMA:
            raise BundleMismatch(f"bundle {version}: made for schema {manifest.schema!r}, not {SCHEMA!r}")
        for name, (size, _) in manifest.files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise BundleCorrupt(f"{path}: is not the file of {size} bytes that was published")
        return manifest, folder

    async def prune(self, keep: int) -> list[str]:
        """Delete all but the newest bases and deltas, the active one, and what those need."""
        manifests = await self.bundles()
        kept = kept_versions(manifests, keep, self._active)
        doomed = [each.version for each in manifests if each.version not in kept]
        for version in doomed:
            shutil.rmtree(self._bundles.pop(version)[1], ignore_errors=True)
        return doomed

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Delete the temporary folder."""
        self._bundles.clear()
        self._active = None
        shutil.rmtree(self._folder, ignore_errors=True)


async def open_models(location: str, home: Path) -> MemoryModelStore:
    """Return a new empty store; the place is not used."""
    return MemoryModelStore()

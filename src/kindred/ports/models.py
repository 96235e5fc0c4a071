"""Where bundles live."""

from pathlib import Path
from typing import Protocol

from kindred.core.bundle import Manifest
from kindred.ports.resource import Resource


class ModelStore(Resource, Protocol):
    """Published bundles, and the pointer to the active one."""

    async def stage(self) -> Path:
        """Return a new empty local folder to write a bundle into."""
        ...

    async def publish(self, folder: Path, manifest: Manifest, activate: bool = True) -> None:
        """Seal a staged folder under the manifest's version: write the manifest, sync files and folder, rename, point.

        Raises StoreFull when there is no room, NotFound when a delta's base or one of the deltas before it is not kept;
        a crash at any moment leaves the active bundle as it was.
        """
        ...

    async def active(self) -> str | None:
        """Return the version that servers should use, or None; cheap enough to ask several times a second."""
        ...

    async def activate(self, version: str) -> None:
        """Point at a kept version after looking at its files and those of the bundles it needs.

        Raises NotFound for another version, BundleCorrupt when files are not what a manifest lists.
        """
        ...

    async def bundles(self) -> list[Manifest]:
        """Return the manifests of kept bundles, newest first."""
        ...

    async def open(self, version: str) -> tuple[Manifest, Path]:
        """Return a bundle's manifest and its local folder; raise NotFound, BundleCorrupt or BundleMismatch."""
        ...

    async def prune(self, keep: int) -> list[str]:
        """Delete all but the newest `keep` bases and deltas, the active one, and what those need; return what went."""
        ...

"""Bundle: one versioned set of trained artefacts."""

from collections.abc import Sequence
from typing import Any

import msgspec

SCHEMA = "kindred-bundle-4"


class DataWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle was trained on; times are milliseconds since 1970 UTC, `position` is the last record read."""

    first: int | None = None
    last: int | None = None
    interactions: int = 0
    users: int = 0
    items: int = 0
    position: str | None = None
    catalogue_seq: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a bundle's `manifest.json`; `files` maps each file to its size in bytes and its xxh3 hash.

    A delta holds only the rows that changed: `base` is the bundle that it lies over, `deltas` are those between, oldest
    first. Both are empty for a base. `models`: the folders in it. `retrievers`: which models propose and score by a
    user's history, of a delta those of its base.
    """

    version: str
    created: int
    schema: str = SCHEMA
    base: str | None = None
    deltas: tuple[str, ...] = ()
    code_version: str = ""
    n_items: int = 0
    window: DataWindow = DataWindow()
    metrics: dict[str, float] = {}
    parameters: dict[str, Any] = {}
    models: list[str] = []
    retrievers: tuple[str, ...] = ()
    seconds: dict[str, float] = {}
    files: dict[str, tuple[int, str]] = {}

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the versions that must be kept for this one to be opened, the base first."""
        return () if self.base is None else (self.base, *self.deltas)


def kept_versions(manifests: Sequence[Manifest], keep: int, active: str | None) -> set[str]:
    """Return what pruning must leave of `manifests`, newest first: the newest `keep` bases and the newest `keep`
    deltas, the active one, and everything that those need.
    """
    bases = [each for each in manifests if each.base is None][: max(keep, 0)]
    deltas = [each for each in manifests if each.base is not None][: max(keep, 0)]
    kept = [*bases, *deltas, *(each for each in manifests if each.version == active)]
    return {version for each in kept for version in (each.version, *each.needs)}

"""Bundle: one versioned set of trained artefacts."""

from typing import Any

import msgspec

SCHEMA = "kindred-bundle-1"


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
    """What stands in a bundle's `manifest.json`; `files` maps each file to its size in bytes and its xxh3 hash."""

    version: str
    created: int
    schema: str = SCHEMA
    code_version: str = ""
    n_items: int = 0
    window: DataWindow = DataWindow()
    metrics: dict[str, float] = {}
    parameters: dict[str, Any] = {}
    models: list[str] = []
    seconds: dict[str, float] = {}
    files: dict[str, tuple[int, str]] = {}

"""A data folder of its own for every test, and nothing of the caller's environment."""

import os
from pathlib import Path

import pytest

PORTS = (
    "event_log", "state", "interactions", "catalog", "profiles", "cache", "models", "traces", "tokens", "leases",
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("KINDRED_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("KINDRED_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    return folder

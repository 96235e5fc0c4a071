"""Stores are closed whatever one of them does."""

import fcntl
from pathlib import Path

import pytest

from kindred.app.sections import StoresConfig
from kindred.app.stores import open_stores
from kindred.core.errors import ConfigError, StoreUnavailable


async def test_a_store_that_cannot_be_opened_leaves_none_open(tmp_path: Path) -> None:
    """The ones that were opened before it hold no file any more."""
    with pytest.raises(ConfigError, match="leases"):
        await open_stores(StoresConfig(leases="nothing:here"), tmp_path)
    held = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [path for path in held if str(path.readlink()).startswith(str(tmp_path))]


async def test_a_store_that_cannot_be_closed_keeps_no_other_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is raised after the lease, which comes later, went back."""
    stores = await open_stores(StoresConfig(), tmp_path)

    async def refuse() -> None:
        raise StoreUnavailable("the disk is gone")

    close = stores.catalog.close
    monkeypatch.setattr(stores.catalog, "close", refuse)
    assert await stores.leases.acquire("consumer", "here") == 1
    with pytest.raises(StoreUnavailable, match="gone"):
        await stores.close()
    with (tmp_path / "leases" / "consumer.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await close()


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreUnavailable, match=r"data folder .*below cannot be made: Not a directory; see KINDRED_HOME"
    ):
        await open_stores(StoresConfig(), tmp_path / "file" / "below")

"""Stores are closed whatever one of them does."""

import fcntl
from pathlib import Path

import msgspec
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


PORTS = ("event_log", "state", "interactions", "catalog", "profiles", "cache", "traces", "tokens", "leases")
MEMORY = dict.fromkeys(PORTS, "memory:")


async def test_a_log_of_several_partitions_needs_a_log_of_the_items(tmp_path: Path) -> None:
    """It is said what to set; with it, both are opened and closed."""
    config = StoresConfig(**{**MEMORY, "event_log": "memory:4"}, dead_letters="memory:")
    with pytest.raises(ConfigError, match=r'set stores\.item_log to a second log, such as "memory:4"'):
        await open_stores(config, tmp_path)
    stores = await open_stores(msgspec.structs.replace(config, item_log="memory:2"), tmp_path)
    assert stores.item_log is not None
    assert len(await stores.item_log.ends()) == 2
    assert {"item_log", "dead_letters", "notifier"} <= set(stores.resources())
    await stores.close()


async def test_items_need_no_log_beside_a_log_of_one_partition(tmp_path: Path) -> None:
    """What is not configured is not opened."""
    stores = await open_stores(StoresConfig(), tmp_path)
    assert stores.item_log is None
    assert "item_log" not in stores.resources()
    await stores.close()


@pytest.mark.parametrize("port", ["state", "catalog", "profiles", "interactions", "dead_letters", "item_log"])
async def test_a_durable_log_does_not_go_with_stores_in_memory(port: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"stores\.{port} = 'memory:' forgets what stores.event_log"):
        await open_stores(StoresConfig(**{port: "memory:"}), tmp_path)


async def test_the_items_need_a_log_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a log of their own"):
        await open_stores(StoresConfig(item_log="sqlite:log"), tmp_path)


@pytest.mark.parametrize("password", ["geheim", "ge@heim", "heim@", "ge/heim", "ge:heim", "ge?heim", "ge#heim"])
async def test_a_password_is_never_shown(password: str, tmp_path: Path) -> None:
    for url in (f"nosuch://user:{password}@host/0", f"nosuch://user@host/0?a=b&ssl.key.password={password}"):
        with pytest.raises(ConfigError, match="state") as caught:
            await open_stores(StoresConfig(state=url), tmp_path)
        assert "heim" not in str(caught.value)
        assert "nosuch://user" in str(caught.value)

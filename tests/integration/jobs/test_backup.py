"""A backup is whole and consistent while everything goes on; put back, it brings no forgotten person with it."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.integration.ingest.stores import QUICK, happened
from tests.integration.jobs.test_forgotten import CLOCK, STAMP, fold, ingest, recorded

from kindred.app.sections import StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.clock import SystemClock
from kindred.core.errors import ConfigError, Conflict, InvalidInput, LeaseHeld, StoreUnavailable
from kindred.core.event import Merged, ProfileErased, ProfileUpdated, encode_event, partition_key
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import user_key
from kindred.ingest.consumer import Consumer
from kindred.jobs import copies
from kindred.jobs.backup import back_up
from kindred.jobs.compaction import Compactor
from kindred.jobs.comparison import compare
from kindred.jobs.copies import BackupManifest, read_backup
from kindred.jobs.lake import LakeWriter
from kindred.jobs.rebuild import Rebuild
from kindred.jobs.restore import RestoreReport, begin_again, check_place, forgotten_in, put_back
from kindred.ports.log import DeadLetter

URLS = {name: getattr(StoresConfig(), name) for name in StoresConfig.__struct_fields__}


async def made(stores: Stores, home: Path, folder: Path, patience: float = 5) -> BackupManifest:
    return await back_up(
        folder, home, stores.resources(), URLS, stores.log, stores.state, stores.leases, CLOCK, patience
    )


async def restored(folder: Path, home: Path, newer: Path | None = None) -> tuple[Stores, RestoreReport]:
    known = None
    if newer is not None:
        old = await open_stores(StoresConfig(), newer)
        known = await forgotten_in(old)
        await old.close()
    report = RestoreReport(files=put_back(folder, read_backup(folder), home))
    stores = await open_stores(StoresConfig(), home)
    await begin_again(stores, known, report, CLOCK)
    await fold(stores)
    return stores, report


async def equal(stores: Stores) -> bool:
    from kindred.adapters.memory.state import MemoryStateStore

    return (await compare(Rebuild(ingest(stores), MemoryStateStore(), clock=CLOCK), stores.state, [0])).equal


async def test_a_backup_made_under_load_comes_back_consistent(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await stores.catalog.upsert([Item(item_id="i1", title="one")], 1)
    await recorded(stores, *(happened(n, f"u{n % 9}", f"i{n % 5}") for n in range(60)))
    await LakeWriter(stores.log, stores.leases, stores.lake).run()
    stop = asyncio.Event()
    consumer = Consumer(ingest(stores), stores.leases, QUICK, clock=CLOCK)
    consuming = asyncio.create_task(consumer.run(stop))

    async def load() -> int:
        count = 0
        while not stop.is_set():
            event = happened(1_000 + count, f"u{count % 9}", f"i{count % 5}")
            await stores.log.append([(partition_key(event), encode_event(event))])
            count += 1
            await asyncio.sleep(0)
        return count

    loading = asyncio.create_task(load())
    await asyncio.sleep(0.1)
    manifest = await made(stores, home, tmp_path / "copy")
    stop.set()
    assert await loading > 0
    await consuming
    await stores.close()
    assert Position.parse(manifest.ends[0]) >= Position.parse(manifest.folded[0]) > Position(0, 0, 58)
    assert set(manifest.stores) >= {"event_log", "state", "catalog", "profiles", "interactions", "tokens", "models"}
    assert set(manifest.left_out) >= {"cache", "traces", "leases"}
    again, report = await restored(tmp_path / "copy", tmp_path / "other")
    end = (await again.log.ends())[0]
    assert report.epoch == 1
    assert end.offset >= Position.parse(manifest.ends[0]).offset
    assert await equal(again)
    found = (await again.catalog.get(["i1"]))[0]
    assert found is not None
    assert found.item.title == "one"
    assert (await again.interactions.counts())[0] == end.offset + 1
    placed = await recorded(again, happened(9_999, "u1", "i1"))
    assert placed == [Position(1, 0, end.offset + 1)]
    assert (await LakeWriter(again.log, again.leases, again.lake).run()).lost == 0
    assert await equal(again)
    await again.close()


async def test_who_was_forgotten_since_stays_forgotten(tmp_path: Path) -> None:
    """An older backup over a newer folder: nothing in it brings her back, nor does a dead letter."""
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    placed = await recorded(
        stores,
        happened(1, "ann", "i1"),
        happened(2, "anon", "i2"),
        happened(3, "bob", "i1"),
        ProfileUpdated(**STAMP, event_id="p", profile=Profile(user_id="ann", country="DE")),
    )
    await stores.dead_letters.bury([DeadLetter(placed[0], "fold_failed", encode_event(happened(1, "ann", "i1")))])
    await LakeWriter(stores.log, stores.leases, stores.lake).run()
    # What stands in the backup's log behind its state is folded only after it is restored.
    late = happened(4, "ann", "i3")
    await stores.log.append([("ann", encode_event(late))])
    await made(stores, home, tmp_path / "copy")
    await recorded(
        stores,
        Merged(**STAMP, event_id="m", user_id="anon", into="ann"),
        ProfileErased(**STAMP, event_id="x", user_id="ann"),
    )
    await stores.close()
    again, report = await restored(tmp_path / "copy", home, newer=home)
    assert report.forgotten == 2
    assert [(record is None) for record in (await again.state.read([user_key("ann"), user_key("anon")])).records]
    keys = {key async for key, _ in again.state.scan(user_key("ann").group)}
    assert keys == {"bob"}
    for person in ("ann", "anon"):
        assert await again.interactions.by_user(person, 10) == []
    assert await again.profiles.get(["ann"]) == [None]
    from kindred.jobs.dead_letters import replay_letters

    assert (await replay_letters(ingest(again))).erased == 1
    await fold(again)
    await LakeWriter(again.log, again.leases, again.lake).run()
    await Compactor(again.leases, again.lake, clock=CLOCK).run()
    assert {key async for key, _ in again.state.scan(user_key("ann").group)} == {"bob"}
    left = [path for path in again.lake.rglob("*.parquet") if b"ann" in path.read_bytes()]
    retired = [path for path in left if ".1.parquet" in path.name or ".2.parquet" in path.name]
    assert retired == [], "what compaction wrote names nobody"
    since = SystemClock().now()
    assert await recorded(again, msgspec.structs.replace(happened(50, "ann", "i1"), ingested_at=since))
    assert (await again.state.read([user_key("ann")])).records[0] is not None, "who comes back is a new person"
    await again.close()


async def test_a_folder_restored_twice_never_repeats_a_position(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await recorded(stores, happened(1, "ann", "i1"))
    await made(stores, home, tmp_path / "copy")
    await stores.close()
    epochs = []
    for turn in range(3):
        again, report = await restored(tmp_path / "copy", home, newer=home)
        epochs.append(report.epoch)
        await recorded(again, happened(10 + turn, "ann", "i2"))
        await again.close()
    assert epochs == [1, 2, 3]


async def test_what_a_backup_needs_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    with pytest.raises(Conflict, match="not empty"):
        await made(stores, home, tmp_path / "taken")
    fence = await stores.leases.acquire("import", "an import")
    with pytest.raises(LeaseHeld, match="an import"):
        await made(stores, home, tmp_path / "copy", patience=0.2)
    await stores.leases.release("import", fence or 0)
    with pytest.raises(InvalidInput, match="was the backup cut off"):
        read_backup(tmp_path / "copy")
    await stores.close()


async def test_a_damaged_or_unfit_backup_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await recorded(stores, happened(1, "ann", "i1"))
    manifest = await made(stores, home, tmp_path / "copy")
    await stores.close()
    with pytest.raises(Conflict, match="--force"):
        check_place(manifest, home, URLS, force=False)
    with pytest.raises(ConfigError, match=r"stores\.state"):
        check_place(manifest, tmp_path / "new", {**URLS, "state": "redis://x"}, force=False)
    check_place(manifest, tmp_path / "new", URLS, force=False)
    victim = tmp_path / "copy" / "data" / "catalog.sqlite"
    kept = victim.read_bytes()
    victim.write_bytes(kept[:-1] + b"x")
    with pytest.raises(InvalidInput, match=r"catalog\.sqlite"):
        read_backup(tmp_path / "copy")
    victim.unlink()
    with pytest.raises(InvalidInput, match=r"catalog\.sqlite"):
        read_backup(tmp_path / "copy")


async def test_a_restore_that_fails_puts_back_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await recorded(stores, happened(1, "ann", "i1"))
    manifest = await made(stores, home, tmp_path / "copy")
    await recorded(stores, happened(2, "bob", "i1"))
    await stores.close()
    before = {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    calls = iter(range(100))

    def failing(source: str, target: str) -> None:
        if next(calls) == 2:
            raise OSError("no room")
        shutil.copy(source, target)

    monkeypatch.setattr(copies.shutil, "copy2", failing)
    with pytest.raises(StoreUnavailable, match="no room"):
        put_back(tmp_path / "copy", manifest, home)
    after = {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert after == before

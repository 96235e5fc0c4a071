"""A backup is whole and consistent while everything goes on; put back, it brings no forgotten person with it."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.integration.adapters.conftest import small_disk  # noqa: F401
from tests.integration.ingest.stores import QUICK, happened
from tests.integration.jobs.test_forgotten import CLOCK, STAMP, fold, ingest, recorded

from kindred.app.sections import StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.clock import SystemClock
from kindred.core.errors import ConfigError, Conflict, InvalidInput, LeaseHeld, StoreFull, StoreUnavailable
from kindred.core.event import Merged, ProfileErased, ProfileUpdated, encode_event, partition_key
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import user_key
from kindred.features.users import decode_user
from kindred.ingest.consumer import Consumer
from kindred.jobs import copies, exchange
from kindred.jobs.backup import back_up
from kindred.jobs.compaction import Compactor
from kindred.jobs.comparison import compare
from kindred.jobs.copies import MANIFEST, BackupManifest, read_backup
from kindred.jobs.exchange import exchanged, take_back
from kindred.jobs.folder import REPLACED, alone
from kindred.jobs.lake import LakeWriter
from kindred.jobs.rebuild import Rebuild
from kindred.jobs.restore import RestoreReport, begin_again, check_place, forgotten_in
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
    report = RestoreReport()
    with exchanged(folder, read_backup(folder), home, URLS):
        again = await open_stores(StoresConfig(), home, alone=True)
        await begin_again(again, known, report, CLOCK)
        await again.close()
    stores = await open_stores(StoresConfig(), home)
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


def content(home: Path) -> dict[str, bytes]:
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.fixture
async def newer(tmp_path: Path) -> tuple[Path, BackupManifest]:
    """A data folder that has gone on since its backup in `copy`."""
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await recorded(stores, happened(1, "ann", "i1"))
    manifest = await made(stores, home, tmp_path / "copy")
    await recorded(stores, happened(2, "bob", "i1"))
    await LakeWriter(stores.log, stores.leases, stores.lake).run()
    await stores.close()
    return home, manifest


async def test_a_restore_that_fails_puts_back_what_was_there(
    newer: tuple[Path, BackupManifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, manifest = newer
    before = content(home)
    calls = iter(range(100))

    def failing(source: str, target: str) -> None:
        if next(calls) == 2:
            raise OSError("no room")
        shutil.copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(copies.shutil, "copy2", failing)
        with pytest.raises(StoreUnavailable, match="no room"), exchanged(home.parent / "copy", manifest, home, URLS):
            raise AssertionError
    assert content(home) == before
    with pytest.raises(FileNotFoundError), exchanged(home.parent / "copy", manifest, home, URLS):
        (home / "what fails behind the exchange undoes it too").read_bytes()
    assert content(home) == before


async def test_a_restore_cut_off_anywhere_is_undone_whole(
    newer: tuple[Path, BackupManifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before each of its renames in turn; so does the process that undoes it."""
    home, manifest = newer
    before = content(home)
    renamed = Path.rename

    def dying(left: int):  # type: ignore[no-untyped-def]
        def rename(self: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return renamed(self, target)

        return rename

    cut = 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dying(cut))
            patch.setattr(exchange, "take_back", lambda home: None)
            try:
                with exchanged(home.parent / "copy", manifest, home, URLS):
                    pass
            except KeyboardInterrupt:
                pass
            else:
                break
        if (home / REPLACED).exists():
            with pytest.raises(StoreUnavailable, match="cut off: run `kindred restore`"):
                await open_stores(StoresConfig(), home)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dying(cut // 2))
            try:
                take_back(home)
            except KeyboardInterrupt:
                patch.undo()
                take_back(home)
        assert content(home) == before, f"cut off before rename {cut}"
        cut += 1
    assert cut > 10
    assert not (home / "lake" / "events").exists(), "the backup had no lake"
    assert content(home) != before


async def test_a_folder_is_used_by_many_or_restored_by_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    one, two = await open_stores(StoresConfig(), home), await open_stores(StoresConfig(), home)
    await one.close()
    with pytest.raises(LeaseHeld, match="stop its servers"), alone(home, patience=0.1):
        raise AssertionError
    await two.close()
    with alone(home, patience=0.1):
        with pytest.raises(LeaseHeld, match="being restored"):
            await open_stores(StoresConfig(), home)
        await (await open_stores(StoresConfig(), home, alone=True)).close()
    await (await open_stores(StoresConfig(), home)).close()


async def test_ids_count_once_and_what_came_after_the_backup_is_gone(tmp_path: Path) -> None:
    """What was acknowledged after the backup may be sent again and counts; what the backup has, does not."""
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await stores.catalog.upsert([Item(item_id="i1", title="one"), Item(item_id="i2", title="two")], 1)
    await recorded(stores, happened(1, "ann", "i1"))
    await made(stores, home, tmp_path / "copy")
    await recorded(stores, happened(2, "ann", "i2"))
    assert len(await stores.interactions.by_user("ann", 10)) == 2
    await stores.close()
    again, report = await restored(tmp_path / "copy", home, newer=home)
    assert len(await again.interactions.by_user("ann", 10)) == 1, "nothing of what came later is mixed in"
    assert await equal(again)
    assert (await recorded(again, happened(1, "ann", "i1"), happened(2, "ann", "i2")))[0].epoch == report.epoch == 1
    assert len(await again.interactions.by_user("ann", 10)) == 2
    record = (await again.state.read([user_key("ann")])).records[0]
    assert record is not None
    assert decode_user(record.value).interactions == 2
    assert await equal(again)
    await again.close()


async def test_a_disk_that_is_full_leaves_no_backup_and_no_half_of_a_restore(
    newer: tuple[Path, BackupManifest],
    small_disk: Path,  # noqa: F811
) -> None:
    home, manifest = newer
    (small_disk / "ballast").write_bytes(b"x" * ((4 << 20) - (60 << 10)))
    stores = await open_stores(StoresConfig(), home)
    with pytest.raises(StoreFull, match="room"):
        await made(stores, home, small_disk / "copy")
    await stores.close()
    assert not (small_disk / "copy" / MANIFEST).exists()
    with pytest.raises(InvalidInput, match="was the backup cut off"):
        read_backup(small_disk / "copy")
    shutil.rmtree(small_disk / "copy")
    with pytest.raises(StoreFull, match="room"), exchanged(home.parent / "copy", manifest, small_disk / "home", URLS):
        raise AssertionError
    assert content(small_disk / "home") == {}


async def test_what_no_backup_is_made_of_names_its_own_tool(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    elsewhere = await open_stores(StoresConfig(state=f"local:{tmp_path}/state"), tmp_path / "third")
    ports = {**stores.resources(), "state": elsewhere.state}
    with pytest.raises(ConfigError, match=r"stores\.state .*redis-cli --rdb"):
        await back_up(
            tmp_path / "copy", home, ports, {**URLS, "state": "redis://x"}, stores.log, elsewhere.state, stores.leases
        )
    assert not (tmp_path / "copy").exists()
    ports = {**stores.resources(), "catalog": elsewhere.catalog}
    urls = {**URLS, "catalog": "postgresql://x"}
    manifest = await back_up(tmp_path / "copy", home, ports, urls, stores.log, stores.state, stores.leases)
    assert "pg_dump" in manifest.left_out["catalog"]
    assert "catalog" not in manifest.stores
    await stores.close()
    await elsewhere.close()

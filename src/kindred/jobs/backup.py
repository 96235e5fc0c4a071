"""A backup of the embedded stores while they serve: the state first, the log last."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from kindred import __version__
from kindred.core.clock import Clock, SystemClock
from kindred.core.errors import ConfigError, InvalidInput, LeaseHeld
from kindred.core.ids import new_id
from kindred.jobs.copies import BackupManifest, copy_files, new_folder, seal
from kindred.jobs.lake import LEASE as LAKE_LEASE
from kindred.ports.log import EventLog
from kindred.ports.operations import Leases
from kindred.ports.resource import Copyable, Resource
from kindred.ports.state import StateStore
from kindred.training.lake_events import EVENTS, MANIFEST, LakeEvents

ORDER = ("state", "interactions", "profiles", "catalog", "dead_letters", "models", "tokens", "rules")
"""Stores besides the log, in the order in which they are copied; whatever is copied after the state may be newer."""

# An import writes to several stores before its marker stands in the log; trainer and lake replace files.
QUIET = ("import", "trainer", LAKE_LEASE)
_SHORT_LIVED = {
    "cache": "may vanish",
    "traces": "are kept for a day",
    "leases": "belong to processes",
    "text": "is built again from the catalogue",
}
_OWN_MEANS = {
    "redis": "Redis copies itself: `redis-cli --rdb FILE`",
    "postgres": "PostgreSQL copies itself: `pg_dump`",
    "postgresql": "PostgreSQL copies itself: `pg_dump`",
    "kafka": "Kafka copies itself: a second cluster by MirrorMaker",
}


@asynccontextmanager
async def quiet(leases: Leases, names: tuple[str, ...] = QUIET, patience: float = 60.0) -> AsyncIterator[None]:
    """Keep other work out by holding its leases; raise LeaseHeld naming what goes on after `patience` seconds."""
    owner = f"{new_id('backup')} (process {os.getpid()})"
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    held: list[tuple[str, int]] = []
    try:
        for name in names:
            while (fence := await leases.acquire(name, owner)) is None:
                if loop.time() >= until:
                    raise LeaseHeld(f"{name} is at work ({await leases.holder(name) or 'unknown'}): wait for it to end")
                await asyncio.sleep(0.1)
            held.append((name, fence))
        yield
    finally:
        for name, fence in held:
            await leases.release(name, fence)


async def back_up(
    folder: Path,
    home: Path,
    stores: Mapping[str, Resource],
    urls: Mapping[str, str],
    log: EventLog,
    state: StateStore,
    leases: Leases,
    clock: Clock | None = None,
    patience: float = 60.0,
) -> BackupManifest:
    """Copy what is kept below `home` into a new folder; servers and consumers go on meanwhile.

    `stores` and their `urls` by port. Stores that are no files of the data folder are left out, and named. The log is
    the last, so that it holds whatever the state was folded from. Raises Conflict when the folder is not empty,
    ConfigError where only one of the two is below `home`, LeaseHeld while an import, a training or the lake's writer is
    at work for longer than `patience` seconds.
    """
    _check_pair(stores, urls, home)
    data = await asyncio.to_thread(new_folder, folder)
    left_out: dict[str, str] = {port: why for port, why in _SHORT_LIVED.items() if port in stores}
    kept: dict[str, str] = {}
    async with quiet(leases, patience=patience):
        partitions = [end.partition for end in await log.ends()]
        folded = [str(await state.watermark(partition)) for partition in partitions]
        ends: list[str] = []
        for port in (*ORDER, "lake", "event_log"):
            ends = [str(end) for end in await log.ends()]
            if port == "lake":
                await asyncio.to_thread(_copy_lake, home, data)
            elif (place := _below(stores[port], home)) is not None:
                await stores[port].copy_to(data / place)  # type: ignore[attr-defined]
                kept[port] = urls[port]
            else:
                left_out[port] = own_means(urls[port])
        if (home / "kindred.toml").exists():
            copy_files([home / "kindred.toml"], home, data)
    manifest = BackupManifest(
        created=(clock or SystemClock()).now(),
        code_version=__version__,
        stores=kept,
        left_out=left_out,
        folded=folded,
        ends=ends,
    )
    return await asyncio.to_thread(seal, folder, manifest)


def own_means(url: str) -> str:
    """Say how a store is backed up that is no file of the data folder."""
    return _OWN_MEANS.get(url.partition(":")[0], "it is no file of the data folder: copy it by its own means")


def _check_pair(stores: Mapping[str, Resource], urls: Mapping[str, str], home: Path) -> None:
    """Raise ConfigError where a backup would hold the log without the state, or the state without its log."""
    here = {port: _below(stores[port], home) is not None for port in ("state", "event_log")}
    if len(set(here.values())) > 1:
        (other,) = (port for port, inside in here.items() if not inside)
        raise ConfigError(
            f"stores.{other} is no file of the data folder, but what belongs with it is, and one without the other "
            f"cannot be restored: {own_means(urls[other])}, then copy the data folder, with all processes stopped"
        )


def _below(store: Resource, home: Path) -> Path | None:
    """Return where a store stands in the data folder, None where it stands elsewhere or cannot be copied."""
    if not isinstance(store, Copyable):
        return None
    place = store.place.absolute()
    return place.relative_to(home.absolute()) if place.is_relative_to(home.absolute()) else None


def _copy_lake(home: Path, data: Path) -> None:
    """Copy the files of the lake that count, and imports."""
    lake = home / "lake"
    events = LakeEvents(lake)
    files = [events.path(file) for file in events.manifest().files]
    if (events.folder / MANIFEST).exists():
        files.append(events.folder / MANIFEST)
    for path in sorted(lake.rglob("*")):
        if path.is_file() and path.relative_to(lake).parts[0] not in (EVENTS, "staging"):
            files.append(path)
    missing = [path for path in files if not path.exists()]
    if missing:
        raise InvalidInput(f"{missing[0]} is missing from the lake: restore it first")
    copy_files(files, home, data)

"""`kindred backup` and `kindred restore`: a copy of the data folder, and the way back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show
from kindred.cli.session import opened_stores, read_settings
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from kindred.jobs.copies import BackupManifest
    from kindred.jobs.restore import Forgotten
    from kindred.settings.load import Settings


async def backup(
    folder: Annotated[Path, Parameter(help="A new folder, or an empty one.")],
    /,
    *,
    wait: Annotated[float, Parameter(help="Seconds to wait for imports, training and the lake's writer.")] = 60,
    as_json: Json = False,
) -> None:
    """Copy all that is kept in the data folder, the state first and the log last; servers go on serving.

    The folder appears whole or is no backup: `backup.json` is written last, with a hash of every file.
    """
    from kindred.jobs.backup import back_up

    settings = read_settings()
    folder = folder.expanduser().absolute()
    if folder.is_relative_to(settings.home.absolute()):
        raise InvalidInput(f"{folder} lies in the data folder itself: name one elsewhere, best on another disk")
    async with opened_stores(settings) as stores:
        manifest = await back_up(
            folder,
            settings.home,
            stores.resources(),
            _urls(settings),
            stores.log,
            stores.state,
            stores.leases,
            patience=wait,
        )
    size = sum(file.size for file in manifest.files.values())
    if as_json:
        emit_json({**msgspec.to_builtins(manifest), "files": len(manifest.files), "bytes": size})
        return
    show(f"{len(manifest.files):,} files, {size / 1e6:,.1f} MB, events up to {', '.join(manifest.ends)}: {folder}")
    for port, why in manifest.left_out.items():
        note(f"left out: {port}: {why}", style="dim")


async def restore(
    folder: Annotated[Path, Parameter(help="What `kindred backup` wrote.")],
    /,
    *,
    force: Annotated[bool, Parameter(negative="", help="Replace what stands in the data folder.")] = False,
    newer: Annotated[
        Path | None, Parameter(help="A newer data folder, to forget again whoever asked for it since the backup.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup in place, with all processes stopped; the log goes on in a new epoch.

    All of it is put back or nothing; one that was cut off is undone by the next. Who asked to be forgotten since the
    backup stays forgotten, as far as the replaced folder (or --newer) knows.
    """
    from kindred.jobs.copies import read_backup
    from kindred.jobs.exchange import exchanged, take_back
    from kindred.jobs.restore import RestoreReport, begin_again, check_place

    settings = read_settings()
    home, urls = settings.home, _urls(settings)
    folder = folder.expanduser().absolute()
    manifest = await asyncio.to_thread(read_backup, folder)
    report = RestoreReport(files=len(manifest.files))
    async with _stopped(settings, manifest):
        take_back(home)
        check_place(manifest, home, urls, force)
        known = await _forgotten(settings, home.absolute() if newer is None else newer.expanduser().absolute())
        with exchanged(folder, manifest, home, urls):
            async with opened_stores(settings, alone=True) as stores:
                await begin_again(stores, known, report)
    if as_json:
        emit_json(report)
        return
    show(f"{report.files:,} files are back, with events up to {', '.join(manifest.ends)}.")
    if report.epoch is not None:
        note(f"The log goes on in epoch {report.epoch}.")
    if report.forgotten:
        note(f"{report.forgotten:,} people asked to be forgotten since; they are forgotten again.", style="green")
    for port in sorted(set(manifest.left_out) & {"state", "interactions", "profiles", "catalog", "event_log"}):
        note(f"{port} was not in the backup: bring it back too ({manifest.left_out[port]})", style="yellow")


def _urls(settings: "Settings") -> dict[str, str]:
    from kindred.app.sections import StoresConfig

    return {name: str(value) for name, value in msgspec.to_builtins(settings.section(StoresConfig)).items()}


@asynccontextmanager
async def _stopped(settings: "Settings", manifest: "BackupManifest") -> AsyncIterator[None]:
    """Have the data folder to oneself, and keep those out who work on its stores from elsewhere."""
    from kindred.app.stores import open_port
    from kindred.ingest.consumer import LEASE
    from kindred.jobs.backup import QUIET, quiet
    from kindred.jobs.folder import alone
    from kindred.ports.operations import Leases

    leases: Leases = await open_port("leases", _urls(settings)["leases"], settings.home)
    try:
        names = (LEASE, *QUIET) if "event_log" in manifest.stores else QUIET
        async with quiet(leases, names, 2.0):
            with alone(settings.home):
                yield
    finally:
        await leases.close()


async def _forgotten(settings: "Settings", home: Path) -> "Forgotten | None":
    """Ask a data folder who asked to be forgotten; None where the one that is restored has nobody to tell of yet."""
    from kindred.jobs.folder import alone
    from kindred.jobs.restore import forgotten_in

    own = home == settings.home.absolute()
    if not (home / (_urls(settings)["event_log"].partition(":")[2] or "log")).exists():
        if own:
            return None
        raise InvalidInput(f"{home} is no data folder: it has no event log")
    with nullcontext() if own else alone(home):
        async with opened_stores(replace(settings, home=home), alone=True) as stores:
            return await forgotten_in(stores)

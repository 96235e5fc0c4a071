"""`kindred backup` and `kindred restore`: a copy of the data folder, and the way back."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show
from kindred.cli.session import opened_stores, read_settings
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
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
        note(f"left out: {port}, which {why}" if "own means" not in why else f"left out: {port} {why}", style="dim")


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

    Who asked to be forgotten since the backup stays forgotten, as far as the replaced folder (or --newer) knows.
    """
    from kindred.jobs.copies import read_backup
    from kindred.jobs.restore import RestoreReport, begin_again, check_place, put_back

    settings = read_settings()
    folder = folder.expanduser().absolute()
    manifest = await asyncio.to_thread(read_backup, folder)
    check_place(manifest, settings.home, _urls(settings), force)
    source = newer.expanduser() if newer is not None else settings.home if _has_log(settings, settings.home) else None
    known = await _forgotten(settings, source) if source is not None else None
    report = RestoreReport(files=await asyncio.to_thread(put_back, folder, manifest, settings.home))
    async with opened_stores(settings) as stores:
        await begin_again(stores, known, report)
    if as_json:
        emit_json(report)
        return
    show(f"{report.files:,} files are back, with events up to {', '.join(manifest.ends)}.")
    if report.epoch is not None:
        note(f"The log goes on in epoch {report.epoch}.")
    if report.forgotten:
        note(f"{report.forgotten:,} people asked to be forgotten since; they are forgotten again.", style="green")


def _urls(settings: "Settings") -> dict[str, str]:
    from kindred.app.sections import StoresConfig

    return {name: str(value) for name, value in msgspec.to_builtins(settings.section(StoresConfig)).items()}


def _has_log(settings: "Settings", home: Path) -> bool:
    location = _urls(settings)["event_log"].partition(":")[2]
    return (home / (location or "log")).exists()


async def _forgotten(settings: "Settings", home: Path) -> "Forgotten":
    """Ask a data folder who asked to be forgotten, while nothing else works on it."""
    from kindred.ingest.consumer import LEASE
    from kindred.jobs.backup import QUIET, quiet
    from kindred.jobs.restore import forgotten_in

    if not _has_log(settings, home):
        raise InvalidInput(f"{home} is no data folder: it has no event log")
    async with opened_stores(replace(settings, home=home)) as stores, quiet(stores.leases, (LEASE, *QUIET), 2.0):
        return await forgotten_in(stores)

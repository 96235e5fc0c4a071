"""`kindred job NAME` and `kindred jobs`: the work that comes back, once by hand or by the timetable."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.exits import Exit
from kindred.cli.output import Json, emit_json, note, show, table, when
from kindred.cli.session import opened_stores, read_settings
from kindred.core.clock import SystemClock
from kindred.core.config import unknown_key
from kindred.core.errors import InvalidInput, LeaseHeld
from kindred.core.ids import new_id

if TYPE_CHECKING:
    from kindred.app.stores import Stores
    from kindred.settings.load import Settings

FOLDER = "jobs"
"""Below the data folder: when each job ran last."""


async def job(
    name: Annotated[str, Parameter(help="lake, increment, train, retention or precompute.")],
    /,
) -> int:
    """Do once what `kindred run` does by its timetable: for a timetable of your own, such as cron's.

    Of two of the same name the second is refused (exit code 4).
    """
    if name not in JOBS:
        raise InvalidInput(f"job {name!r} is {unknown_key(name, JOBS)}")
    from kindred.jobs.config import ScheduleConfig

    settings = read_settings()
    os.nice(settings.section(ScheduleConfig).nice)
    async with opened_stores(settings) as stores:
        lease = f"job-{name}"
        fence = await stores.leases.acquire(lease, f"{new_id('job')} (process {os.getpid()})")
        if fence is None:
            raise LeaseHeld(f"job {name} runs already ({await stores.leases.holder(lease) or 'unknown'})")
        try:
            said = await JOBS[name](settings, stores)
        finally:
            await stores.leases.release(lease, fence)
    note(f"job {name}: {said}")
    return Exit.OK


async def jobs(*, as_json: Json = False) -> None:
    """List what comes back: how often, when it ran last and how that ended, when it is due."""
    from kindred.jobs.config import ScheduleConfig
    from kindred.jobs.scheduler import Timetable

    settings = read_settings()
    timetable = Timetable(settings.home / FOLDER)
    every = settings.section(ScheduleConfig).intervals()
    rows = []
    for name in JOBS:
        known, seconds = timetable.read(name), every.get(name)
        due = known.due(seconds) if known is not None and seconds else None
        started = known.started if known is not None else None
        finished, code = (known.finished, known.code) if known is not None else (None, None)
        rows.append(
            {"name": name, "every": seconds, "started": started, "finished": finished, "code": code, "due": due}
        )
    if as_json:
        emit_json(rows)
        return
    shown = [
        (
            row["name"],
            f"{row['every']:,} s" if row["every"] else "never",
            *("–" if row[key] is None else when(row[key]) for key in ("started", "finished")),  # type: ignore[arg-type]
            "–" if row["code"] is None else row["code"],
            "–" if row["due"] is None else when(row["due"]),  # type: ignore[arg-type]
        )
        for row in rows
    ]
    show(table(["job|cyan", "every||right", "began|dim", "ended|dim", "code||right", "due"], shown))


async def _lake(settings: "Settings", stores: "Stores") -> str:
    from kindred.app.sections import consumer_config
    from kindred.jobs.compaction import Compactor
    from kindred.jobs.config import LakeConfig
    from kindred.jobs.forgotten_acts import ForgottenActs
    from kindred.jobs.lake import LakeWriter

    config = settings.section(LakeConfig)
    written = await LakeWriter(stores.log, stores.leases, stores.lake, config).run()
    acts = ForgottenActs(stores, consumer_config(settings).fold)
    merged = await Compactor(stores.leases, stores.lake, config, acts=acts).run()
    lost = f", {written.lost:,} were gone from the log before" if written.lost else ""
    return f"{written.rows:,} events taken over{lost}, {merged.hours:,} hours merged"


async def _increment(settings: "Settings", stores: "Stores") -> str:
    from kindred.app.sections import train_configs
    from kindred.jobs.increment import run_increment

    report = await run_increment(stores, train_configs(settings), SystemClock())
    return f"{report.outcome}: {report.detail}"


async def _train(settings: "Settings", stores: "Stores") -> str:
    from kindred.app.sections import train_configs
    from kindred.training.run import train

    manifest = await train(stores, train_configs(settings), SystemClock())
    return f"bundle {manifest.version} of {manifest.window.interactions:,} interactions"


async def _retention(settings: "Settings", stores: "Stores") -> str:
    from kindred.jobs.config import RetentionConfig
    from kindred.jobs.retention import retain

    report = await retain(stores, settings.section(RetentionConfig), SystemClock())
    for reason in report.waits:
        note(reason, style="yellow")
    return (
        f"dropped {report.records:,} log records, {report.history:,} rows of history, {report.letters:,} dead letters "
        f"and {report.traces:,} traces"
    )


async def _precompute(settings: "Settings", stores: "Stores") -> str:
    from kindred.cli.precomputing import run, said

    return said(await run(settings))


JOBS: dict[str, Callable[["Settings", "Stores"], Awaitable[str]]] = {
    "lake": _lake,
    "increment": _increment,
    "train": _train,
    "retention": _retention,
    "precompute": _precompute,
}

"""`kindred state rebuild`: the folded state made anew, compared with the live one, put in its place."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from kindred.cli.exits import Exit
from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.progress import steps
from kindred.cli.session import opened_stores, read_settings
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from kindred.jobs.comparison import Comparison
    from kindred.ports.state import StateStore
    from kindred.settings.load import Settings

state = App(name="state", help="The folded state of users and items.", help_format="plaintext")

_FOLDER = "state.rebuilding"
_SHOWN = 20


@state.command
async def rebuild(
    *,
    source: Annotated[
        Literal["log", "lake"] | None,
        Parameter(name="--from", help="Fold the log, or the lake and the log behind it; default: the log if whole."),
    ] = None,
    compare: Annotated[bool, Parameter(help="Compare every record with the live state's.")] = True,
    replace: Annotated[
        bool, Parameter(negative="", help="Put it in place of the live state, once no consumer folds.")
    ] = False,
    into: Annotated[
        str | None, Parameter(help="Build into the state of this URL and keep it, to be set as stores.state then.")
    ] = None,
    wait: Annotated[float, Parameter(help="Seconds to wait for the consumer to stop, with --replace.")] = 60,
    as_json: Json = False,
) -> int:
    """Fold all events anew into a state of its own, beside the live one, and say where the two differ.

    Servers and consumers may go on. Exit code 1 when values differ (and were not replaced).
    """
    if replace and into is not None:
        raise InvalidInput("choose --replace or --into, not both")
    from kindred.app.sections import consumer_config
    from kindred.jobs.comparison import compare as compare_states
    from kindred.jobs.comparison import describe
    from kindred.jobs.rebuild import Rebuild, take_over, whole_source

    settings = read_settings()
    async with opened_stores(settings) as stores, _fresh(settings, into) as fresh:
        chosen = source or await whole_source(stores.log)
        with steps() as shown:

            def tell(records: int) -> None:
                shown.tell(f"fold the {chosen}", f"{records:,} records")

            fold = consumer_config(settings).fold
            work = Rebuild(stores, fresh, fold, chosen, tell=tell)
            await work.prepare()
            report = await compare_states(work, stores.state, work.partitions) if compare else None
            if report is None:
                await work.fold_to({one: await stores.state.watermark(one) for one in work.partitions})
            replaced = await take_over(work, stores.state, stores.leases, stores.log, wait) if replace else None
    outcome = {"source": chosen, "records": work.records, "replaced": replaced, "into": into}
    if as_json:
        emit_json({**outcome, **({} if report is None else describe(report))})
    else:
        _say(report, outcome)
    return Exit.FAILURE if report is not None and not report.equal and replaced is None else Exit.OK


@asynccontextmanager
async def _fresh(settings: "Settings", into: str | None) -> AsyncIterator["StateStore"]:
    """Open an empty state in a folder of its own, gone at the end; or the one that is to be kept."""
    from kindred.app.sections import StoresConfig
    from kindred.app.stores import open_port

    if into == settings.section(StoresConfig).state:
        raise InvalidInput(f"--into {into} is the live state: name another one, or use --replace")
    folder = settings.home / _FOLDER
    if into is None:
        shutil.rmtree(folder, ignore_errors=True)
    store: StateStore = await open_port("state", into or f"local:{_FOLDER}", settings.home)
    try:
        yield store
    finally:
        await store.close()
        if into is None:
            shutil.rmtree(folder, ignore_errors=True)


def _say(report: "Comparison | None", outcome: Mapping[str, object]) -> None:
    """Say in words what came of it."""
    note(f"{outcome['records']:,} records folded from the {outcome['source']}.", style="dim")
    if report is not None:
        names = {key.group for key in report.differing}
        rows = [(group, count, "differs" if group in names else "equal") for group, count in report.compared.items()]
        show(table(["group", "records||right", "values"], rows))
        for key in report.differing[:_SHOWN]:
            show(f"differs: {key.group} {key.key}", style="red")
        if report.total > _SHOWN:
            show(f"… and {report.total - _SHOWN:,} more (--json names up to 1,000)", style="red")
        if report.equal:
            note("The live state is what its events say.", style="green")
    if outcome["replaced"] is not None:
        note("The state built anew is the live one now; consumers go on from there.", style="green")
    elif outcome["into"] is not None:
        note(f"Stop the consumers, set stores.state = {outcome['into']!r}, start them again: they go on from there.")
    elif report is not None and not report.equal:
        note("`kindred state rebuild --replace` puts the one built anew in place of the live one.", style="yellow")

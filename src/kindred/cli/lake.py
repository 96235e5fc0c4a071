"""`kindred lake`: the columnar copy of events and imports, for analysis and training."""

import sys
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.session import opened_stores, read_settings
from kindred.core.errors import InvalidInput

lake = App(name="lake", help="Write, compact and query the lake of events.")


@lake.command(name="write")
async def write(*, as_json: Json = False) -> None:
    """Take over what the log holds behind the lake's end; running it again writes nothing twice."""
    from kindred.jobs.config import LakeConfig
    from kindred.jobs.lake import LakeWriter

    settings = read_settings()
    async with opened_stores(settings) as stores:
        report = await LakeWriter(stores.log, stores.leases, stores.lake, settings.section(LakeConfig)).run()
    if as_json:
        emit_json(asdict(report))
        return
    ends = ", ".join(report.positions) or "–"
    show(f"Wrote {report.rows:,} events in {report.files:,} files; the lake ends at {ends}.")
    if report.lost:
        note(f"{report.lost:,} events were trimmed from the log before the lake came.", style="yellow")


@lake.command(name="compact")
async def compact(*, as_json: Json = False) -> None:
    """Merge the files of past hours, mark what clients sent again, and drop the rows of forgotten people."""
    from kindred.app.sections import consumer_config
    from kindred.jobs.compaction import Compactor
    from kindred.jobs.config import LakeConfig
    from kindred.jobs.forgotten_acts import ForgottenActs

    settings = read_settings()
    async with opened_stores(settings) as stores:
        acts = ForgottenActs(stores, consumer_config(settings).fold)
        report = await Compactor(stores.leases, stores.lake, settings.section(LakeConfig), acts=acts).run()
    if as_json:
        emit_json(asdict(report))
        return
    show(f"Merged {report.hours:,} hours: {report.files_before:,} files are {report.files_after:,} now.")
    if report.repeats:
        show(f"Marked {report.repeats:,} repeats.")
    if report.erased_people:
        show(f"Dropped {report.erased_rows:,} rows of {report.erased_people:,} forgotten people.")


@lake.command(name="query")
async def run_query(
    sql: Annotated[str, Parameter(help="A SELECT over events, interactions and items.")],
    /,
    *,
    limit: Annotated[int, Parameter(help="Rows at most; 0 is all.")] = 100,
    csv: Annotated[bool, Parameter(negative="", help="Print CSV alone.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the lake a question in SQL; `SHOW TABLES` lists the tables.

    Tables: `events` (every event), `interactions` (imports and events alike, repeats left out), `items`.
    """
    if limit < 0:
        raise InvalidInput(f"--limit is 0 or more, not {limit}")
    if csv and as_json:
        raise InvalidInput("give --csv or --json, not both")
    from kindred.jobs.lake_query import printable, query

    async with opened_stores() as stores:
        found = await query(stores.lake, stores.catalog, sql, limit + 1 if limit else 0)
    more = 0 < limit < len(found)
    text = printable(found.head(limit) if more else found)
    if as_json:
        emit_json(text.to_dicts())
    elif csv:
        sys.stdout.write(text.write_csv())
    else:
        show(table(text.columns, text.iter_rows()))
    if more:
        note(f"There are more than {limit:,} rows: --limit 0 prints all.")

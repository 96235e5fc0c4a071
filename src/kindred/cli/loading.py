"""`kindred import`: items, users and interactions from files."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show, table, when
from kindred.cli.progress import Steps, steps
from kindred.cli.session import opened_app
from kindred.core.errors import InvalidInput, NotFound, StoreUnavailable

if TYPE_CHECKING:
    from kindred.app.app import App
    from kindred.ingest.importing.options import ImportReport

FOLD_SECONDS = 3_600.0


async def import_data(
    mapping: Path | None = None,
    /,
    *,
    data: Annotated[
        Path | None, Parameter(help="Folder that the mapping's paths are relative to; default the mapping file's.")
    ] = None,
    sample: Annotated[bool, Parameter(negative="", help="Import the packaged MovieLens data.")] = False,
    shift_to_now: Annotated[
        bool, Parameter(negative="", help="Move all times so that the last event is now (--sample always does).")
    ] = False,
    strict: Annotated[bool, Parameter(negative="", help="Stop at the first bad row.")] = False,
    rejects: Annotated[Path | None, Parameter(help="Where bad rows go; default rejects/ in the data folder.")] = None,
    as_json: Json = False,
) -> None:
    """Import what a MAPPING file names: CSV, JSONL or Parquet, once, however often it is run.

    Bad rows go to a reject file with their line and reason.
    """
    if (mapping is None) != sample:
        raise InvalidInput("give either a mapping file or --sample: `kindred import mapping.toml`")
    if mapping is not None and not mapping.is_file():
        raise NotFound(f"there is no mapping file {mapping}")
    if sample and data is not None:
        raise InvalidInput("--data goes with a mapping file; the sample has its own data")
    if data is not None and not data.is_dir():
        raise NotFound(f"there is no folder {data}")
    from kindred.ingest.importing.mapping import load_mapping
    from kindred.ingest.importing.options import ImportOptions, ImportStores
    from kindred.ingest.importing.run import run_import, sample_mapping

    plan = sample_mapping() if mapping is None else load_mapping(mapping, data)
    options = ImportOptions(strict=strict, shift_to_now=shift_to_now or sample, reject_file=rejects)
    async with opened_app(answering=False) as app:
        s = app.stores
        stores = ImportStores(s.catalog, s.profiles, s.interactions, s.log, s.leases, s.lake)
        with steps() as shown:
            told = _Told(shown)
            report = await run_import(plan, stores, options, told.progress)
            await _fold(app, shown)
    _show(report, as_json)


class _Told:
    """Passes the import's progress on to the bars."""

    def __init__(self, shown: Steps) -> None:
        self._shown = shown

    def progress(self, progress: Any) -> None:
        self._shown.tell(progress.step, f"{progress.rows:,} rows", progress.fraction)


async def _fold(app: "App", shown: Steps) -> None:
    """Fold what the log holds by now, here or in the server that holds the lease."""
    from kindred.ports.log import all_ends

    shown.tell("state")
    # Twice: where the log has several partitions, folding the import's marker copies it to the others.
    for _ in range(2):
        try:
            await app.consumer.drain_to(*await all_ends(app.stores.log), timeout=FOLD_SECONDS)
        except TimeoutError as error:
            said = "the import is stored, but no consumer has folded it yet: see `kindred doctor`"
            raise StoreUnavailable(said) from error


def _show(report: "ImportReport", as_json: bool) -> None:
    if report.notice:
        note(report.notice, style="dim")
    if as_json:
        emit_json({**asdict(report), "position": str(report.position) if report.position else None})
        return
    rows: list[tuple[str, Any, str]] = [
        ("interactions read", report.read, ""),
        ("  new", report.new, ""),
        ("  known already", report.known, "imported before: not counted twice" if report.known else ""),
        *((f"  left out: {cause}", count, "by the mapping") for cause, count in report.left_out.items()),
        *((f"rejected: {reason}", count, str(report.reject_file or "")) for reason, count in report.rejects.items()),
        ("items", report.items, ""),
        ("users described", report.users, ""),
    ]
    show(table(["|", "rows|cyan|right", "|dim"], rows, title=f"Import of {report.source}"))
    if report.shift:
        note(f"All times were moved by {report.shift / 86_400_000:,.1f} days, so that the last event is now.")
    if report.first is not None:
        note(f"The interactions go from {when(report.first)} to {when(report.last)}.", style="dim")
    if report.finished:
        note(f"Completed {len(report.finished)} import(s) that had been cut off.", style="yellow")
    seconds = sum(report.seconds.values())
    pace = f", {report.read / seconds:,.0f} interactions a second" if seconds and report.read else ""
    note(f"{seconds:.1f} s{pace}", style="dim")

"""`kindred placements`: the rules of surfaces, changed while servers run."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show, table, when
from kindred.cli.session import opened_stores, read_settings
from kindred.core.clock import SystemClock
from kindred.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from kindred.app.placements import Change, LivePlacements
    from kindred.app.stores import Stores
    from kindred.settings.load import Settings

placements = App(
    name="placements", help="What is pinned, boosted, buried and promoted where, changed while servers run."
)

AUTHOR = "command line"

Version = Annotated[int, Parameter(help="Counted from 1; 0 is the settings alone.")]
Expected = Annotated[int | None, Parameter(help="Only if this is the newest version.")]
About = Annotated[str, Parameter(name="--note", help="What it is for; shown in the history.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only say what would change.")]


@asynccontextmanager
async def opened_placements() -> AsyncIterator["LivePlacements"]:
    """Open the stores for a block; return the placements in them."""
    settings = read_settings()
    async with opened_stores(settings) as stores:
        yield placements_of(stores, settings)


def placements_of(stores: "Stores", settings: "Settings") -> "LivePlacements":
    """Return the placements of a data folder, for a command that looks once."""
    from kindred.app.placements import LivePlacements
    from kindred.ports.telemetry import NoMeter
    from kindred.recommend.config import PlacementConfig

    configured = settings.table("placements", PlacementConfig)
    return LivePlacements(stores.rules, configured, SystemClock(), NoMeter())


@placements.command(name="show")
async def show_placements(version: Version | None = None, /, *, as_json: Json = False) -> None:
    """Print the newest version, or another one, as TOML that `kindred placements set` takes.

    With --json also what holds with it and the settings together.
    """
    import tomlkit

    from kindred.api.schemas.placements import placements_view

    async with opened_placements() as live:
        found = await live.read(version)
        newest = (await live.read()).version if version is not None else found.version
    if as_json:
        emit_json(placements_view(found, newest))
        return
    about = found.about
    made = f", {when(about.created)} by {about.author}" if about.version else ""
    note(f"version {about.version}{made}: {about.note or 'no note'}", style="dim")
    plain = {"version": about.version, "placements": _without_null(found.document)}
    print(tomlkit.dumps(plain), end="")


@placements.command(name="set")
async def set_placements(
    file: Path,
    /,
    *,
    expected: Expected = None,
    about: About = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make FILE the newest version: TOML or JSON with `placements`, as `show` prints it.

    Servers follow within a second. A `version` in FILE is the one that it builds on: where somebody else was first,
    nothing is changed.
    """
    from kindred.api.schemas.placements import check_placements

    built_on, document = read_document(file)
    async with opened_placements() as live:
        check_placements(document, live.configured)
        builds_on = built_on if expected is None else expected
        if builds_on is None:
            builds_on = (await live.read()).version
        change = await live.put(document, builds_on, AUTHOR, about, dry_run)
    _told(change, dry_run, as_json)


@placements.command(name="history")
async def list_versions(
    *,
    count: Annotated[int, Parameter(help="How many at most.")] = 20,
    before: Annotated[int | None, Parameter(help="Only versions with a smaller number.")] = None,
    as_json: Json = False,
) -> None:
    """List who made which version when, newest first."""
    from kindred.api.schemas.placements import version_view

    if count < 1:
        raise InvalidInput("--count must be at least 1")
    async with opened_placements() as live:
        found = await live.history(before, count)
    if as_json:
        emit_json([version_view(about) for about in found])
        return
    if not found:
        show("No version yet: the settings alone hold. `kindred placements set FILE` makes one.")
        return
    rows = [(about.version, when(about.created), about.author, about.note) for about in found]
    show(table(["version|cyan|right", "made|dim", "by", "note"], rows))


@placements.command(name="rollback")
async def roll_back(
    version: Version,
    /,
    *,
    expected: Expected = None,
    about: About = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make the document of an earlier version the newest, as a version of its own; servers follow within a second."""
    async with opened_placements() as live:
        change = await live.roll_back(version, expected, AUTHOR, about, dry_run)
    _told(change, dry_run, as_json)


def read_document(file: Path) -> tuple[int | None, dict[str, Any]]:
    """Return the version that a file builds on, if it says so, and its placements; raise InvalidInput, NotFound."""
    import tomllib

    import msgspec

    from kindred.api.decoding import decode
    from kindred.api.schemas.placements import PlacementsView
    from kindred.core.config import unknown_key

    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    data = file.read_bytes()
    if file.suffix == ".toml":
        try:
            # What JSON cannot say, such as a date, is nothing that a placement holds.
            data = msgspec.json.encode(tomllib.loads(data.decode()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{file} is not valid TOML: {error}") from error
    found = decode(dict[str, Any], data)
    for name in found:
        if name not in PlacementsView.__struct_fields__:
            raise InvalidInput.at(f"/{name}", unknown_key(name, ["version", "placements"]))
    built_on, document = found.get("version"), found.get("placements")
    if not isinstance(document, dict):
        raise InvalidInput.at("/placements", "is required: the placements by name")
    if not isinstance(built_on, int | None):
        raise InvalidInput.at("/version", "must be the number of the version that this builds on")
    return built_on, document


def _told(change: "Change", dry_run: bool, as_json: bool) -> None:
    from kindred.api.schemas.placements import placements_outcome

    if as_json:
        emit_json(placements_outcome(change, dry_run))
        return
    names = ", ".join(change.changed) or "no placement"
    if dry_run:
        show(f"Version {change.placements.version} would change {names} (nothing was done)")
    else:
        show(f"Version {change.placements.version} changes {names}; servers follow within a second", style="green")


def _without_null(value: Any) -> Any:
    """Return a document without what is null, which TOML cannot say and which is the same as left out."""
    if isinstance(value, Mapping):
        return {name: _without_null(inner) for name, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value

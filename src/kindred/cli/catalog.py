"""`kindred catalog`: the whole catalogue at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show
from kindred.cli.session import opened_stores
from kindred.core.clock import SystemClock
from kindred.core.errors import Fault, InvalidInput, NotFound

if TYPE_CHECKING:
    from kindred.core.item import Item

catalog = App(name="catalog", help="The catalogue as a whole.")

_MOST_FAULTS = 20


@catalog.command(name="sync")
async def sync_catalog(
    file: Path,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would change.")] = False,
    force: Annotated[
        bool, Parameter(negative="", help="Also where more than a fifth of the active items is left out.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the catalogue equal to a FILE of all items: JSON lines, or one JSON list, as `PUT /api/v1/items` takes them.

    Items that it leaves out are switched off. One bad item, and nothing is changed.
    """
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    from kindred.api.schemas.items import sync_outcome
    from kindred.ingest.catalog_sync import apply_sync, plan_sync
    from kindred.ingest.journal import Journal

    items = read_items(file)
    async with opened_stores() as stores:
        plan = await plan_sync(stores.catalog, items)
        if not dry_run:
            plan.check(force)
            await apply_sync(plan, Journal(stores.log).record, SystemClock().now())
    told = sync_outcome(plan, "dry_run" if dry_run else "queued")
    if as_json:
        emit_json(told)
        return
    for kind, ids in told.examples.items():
        if ids:
            note(f"{kind}: {', '.join(ids)}{' …' if len(ids) < getattr(told, kind) else ''}", style="dim")
    counts = (
        f"{told.added:,} added, {told.changed:,} changed, {told.removed:,} switched off, {told.unchanged:,} as before"
    )
    show(counts + (" (nothing was done)" if dry_run else "; servers know it once their consumer has folded it"))


def read_items(file: Path) -> list["Item"]:
    """Read every item of a file; raise InvalidInput that names the first bad ones by line, or by place in the list."""
    import msgspec

    from kindred.api.decoding import decode
    from kindred.api.schemas.items import ItemBody, to_item

    data = file.read_bytes()
    if data.lstrip()[:1] == b"[":
        parts = [(f"/{place}", bytes(part)) for place, part in enumerate(decode(list[msgspec.Raw], data))]
    else:
        parts = [(f"/line {place}", line) for place, line in enumerate(data.splitlines(), 1) if line.strip()]
    items: list[Item] = []
    faults: list[Fault] = []
    for at, part in parts:
        try:
            items.append(to_item(decode(ItemBody, part, at), at=at))
        except InvalidInput as error:
            faults += error.faults
    if any("not valid" in fault.detail for fault in faults):
        faults.insert(0, Fault("", "the file has to hold JSON lines, an item to a line, or one JSON list of items"))
    if faults:
        more = len(faults) - _MOST_FAULTS
        shown = faults[:_MOST_FAULTS] + ([Fault("", f"and {more:,} more")] if more > 0 else [])
        raise InvalidInput(faults=shown)
    return items

"""`kindred explain`: what led to an answer, and why an item is not in it, for a person to read."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.session import opened_app
from kindred.core.ids import check_id

if TYPE_CHECKING:
    from kindred.app.app import App
    from kindred.core.trace import ItemTrace, Trace
    from kindred.recommend.why_not import WhyNot


async def explain(
    request: str,
    /,
    *,
    item: Annotated[str | None, Parameter(help="Say why this item is not in the answer, or what put it there.")] = None,
    as_json: Json = False,
) -> None:
    """Show how the answer to REQUEST of the last 24 hours came about: every stage, and what moved each item."""
    request_id = check_id(request, "REQUEST")
    async with opened_app() as app:
        if item is not None:
            said = await app.serving.why_not(request_id, check_id(item, "--item"))
            emit_json(said) if as_json else _show_why_not(said)
            return
        trace = await app.serving.trace(request_id)
        names = {} if as_json else await _names(app, trace)
    if as_json:
        emit_json(trace)
        return
    show(stage_table(trace))
    columns = ["|dim|right", "item|cyan", "title|bold", "score||right", "from|dim", "what weighed most|green"]
    rows = [(place, *names[one.item], one.score, ", ".join(one.sources), _most(one))
            for place, one in enumerate(trace.items, start=1)]  # fmt: skip
    if rows:
        show(table(columns, rows, title=f"What put each item there (bundle {trace.bundle})"))
    _under(trace.placements_version)
    _doubt(trace.exact, trace.cause)


def stage_table(trace: "Trace") -> Any:
    """Return what every stage did as a table."""
    rows = [(s.stage, s.kind, s.milliseconds, s.entered, s.left, s.error or "") for s in trace.stages]
    columns = ["stage|cyan", "kind|dim", "ms||right", "in||right", "out||right", "failed|red"]
    return table(columns, rows, title=f"What every stage did, {trace.milliseconds:.1f} ms in all")


async def _names(app: "App", trace: "Trace") -> dict[int, tuple[str, str]]:
    found = await app.stores.catalog.by_ordinals([one.item for one in trace.items])
    return {
        one.item: ("?", "") if known is None else (known.item.item_id, known.item.title or "")
        for one, known in zip(trace.items, found, strict=True)
    }


def _most(one: "ItemTrace") -> str:
    """Return the features that moved an item most, else the models that speak for it."""
    if one.features:
        return ", ".join(f"{name} {value:+.2f}" for name, value in list(one.features.items())[:3])
    parts = sorted(one.parts.items(), key=lambda part: -abs(part[1]))[:3]
    return ", ".join(f"{name} {value:.2f}" for name, value in parts)


def _show_why_not(said: "WhyNot") -> None:
    note(said.said)
    columns = ["source|cyan", "proposed||right", "the item's place||right"]
    places = {one.source: one.place for one in said.proposed_by}
    rows = [(name, count, places.get(name, "")) for name, count in said.asked_sources.items()]
    show(table(columns, rows, title=f"Item {said.item_id} in request {said.request_id}: {said.outcome}"))
    if said.why is not None and said.score is not None:
        low = "" if said.lowest_shown is None else f"; the lowest shown has {said.lowest_shown:.4f}"
        note(f"Its score is {said.score:.4f}{low}. What weighed most: {_most(said.why) or 'nothing'}.")
    _under(said.placements_version)
    _doubt(said.exact, said.cause)


def _under(version: int) -> None:
    if version:
        note(
            f"It was asked under version {version} of the placements: `kindred placements show {version}`.", style="dim"
        )


def _doubt(exact: bool, cause: str | None) -> None:
    if not exact:
        note(f"This is how it would be answered now: {cause}.", style="yellow")

"""`kindred events dead-letters`: events that could never be folded."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.session import opened_app, opened_stores
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.position import Position

if TYPE_CHECKING:
    from kindred.app.app import App as Platform
    from kindred.ports.log import DeadLetter

_SHOWN = 400
_FOLD_SECONDS = 600.0

events = App(name="events", help="Look after the events of the log.")
_letters = App(name="dead-letters", help="List, replay or discard events that could not be folded.")
events.command(_letters)

_Positions = Annotated[str, Parameter(help="Positions of letters, as the list shows them.", negative="")]
_All = Annotated[bool, Parameter(name="--all", negative="", help="All letters.")]


@_letters.command(name="list")
async def list_letters(
    *,
    limit: Annotated[int, Parameter(help="Letters shown at most.")] = 50,
    after: Annotated[str | None, Parameter(help="Begin behind this position.")] = None,
    as_json: Json = False,
) -> None:
    """List dead letters in order of position, with the reason and the beginning of what they hold."""
    if not 1 <= limit <= 10_000:
        raise InvalidInput(f"--limit is 1 to 10000, not {limit}")
    async with opened_stores() as stores:
        found = await stores.dead_letters.letters(None if after is None else Position.parse(after), limit)
    if as_json:
        emit_json([{"position": str(one.position), "reason": one.reason, "data": _text(one)} for one in found])
        return
    if not found:
        show("There are no dead letters.")
        return
    show(
        table(["position|cyan", "reason", "event|dim"], [(str(e.position), e.reason, _text(e)[:_SHOWN]) for e in found])
    )
    if len(found) == limit:
        note(f"There may be more: --after {found[-1].position}")


@_letters.command(name="replay")
async def replay(*positions: _Positions, everything: _All = False, as_json: Json = False) -> None:
    """Append letters to the log again, byte for byte, and discard them.

    Letters that would be buried again stay; those of people who were forgotten since are dropped.
    """
    wanted = _chosen(positions, everything)
    from kindred.jobs.dead_letters import replay_letters

    async with opened_app(answering=False) as app:
        await _fold(app)
        report = await replay_letters(app.stores.ingest, wanted)
        await _fold(app)
    if as_json:
        emit_json(
            {
                "replayed": report.replayed,
                "erased": report.erased,
                "kept": [{"position": str(kept.position), "reason": kept.reason} for kept in report.kept],
            }
        )
        return
    show(f"Replayed {report.replayed:,} dead letters; dropped {report.erased:,} of people who were forgotten.")
    if report.kept:
        show(table(["kept|cyan", "because"], [(str(kept.position), kept.reason) for kept in report.kept]))


@_letters.command(name="discard")
async def discard(*positions: _Positions, everything: _All = False) -> None:
    """Delete letters for ever."""
    wanted = _chosen(positions, everything)
    from kindred.jobs.dead_letters import chosen_letters

    async with opened_stores() as stores:
        found = await chosen_letters(stores.dead_letters, wanted)
        count = await stores.dead_letters.discard([letter.position for letter in found])
    show(f"Discarded {count:,} dead letters.", style="green")


def _chosen(positions: tuple[str, ...], everything: bool) -> list[Position]:
    """Return the positions that were asked for, none for all of them."""
    if bool(positions) == everything:
        raise InvalidInput("give positions of dead letters, or --all: `kindred events dead-letters list` shows them")
    return [Position.parse(position) for position in positions]


async def _fold(app: "Platform") -> None:
    """Fold what the log holds by now, here or in the process that does so anyway."""
    from kindred.ports.log import all_ends

    try:
        await app.consumer.drain_to(*await all_ends(app.stores.log), timeout=_FOLD_SECONDS)
    except TimeoutError as error:
        raise StoreUnavailable("no consumer has folded the log to its end: see `kindred doctor`") from error


def _text(letter: "DeadLetter") -> str:
    return letter.data.decode("utf-8", "replace")

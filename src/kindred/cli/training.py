"""`kindred train` and `kindred evaluate`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.progress import steps
from kindred.cli.session import opened_stores, read_settings
from kindred.core.clock import SystemClock

if TYPE_CHECKING:
    from kindred.core.bundle import Manifest

Protocol = Literal["per-user", "rolling"]
_SHOWN = ("ndcg@10", "ndcg@20", "recall@10", "recall@20", "hit_rate@10", "hit_rate@20", "novelty", "diversity")


async def train(
    *,
    activate: Annotated[bool, Parameter(help="Let it serve at once.")] = True,
    as_json: Json = False,
) -> None:
    """Train all models on what was imported and tracked, and publish them as a bundle; running servers swap to it."""
    from kindred.app.sections import train_configs
    from kindred.training.run import train as run_training

    settings = read_settings()
    async with opened_stores(settings) as stores:
        with steps() as shown:
            manifest = await run_training(
                stores, train_configs(settings), SystemClock(), progress=shown.tell, activate=activate
            )
    _show_bundle(manifest, activate, as_json)


async def evaluate(
    *,
    protocol: Annotated[
        Protocol, Parameter(help="Hold back each user's newest rows, or all after several moments.")
    ] = ("per-user"),
    max_users: Annotated[int | None, Parameter(help="Replay at most so many users.")] = None,
    as_json: Json = False,
) -> None:
    """Judge the whole funnel against every source alone and popularity, on rows that nothing was trained on.

    Nothing of the data folder is changed.
    """
    raise SystemExit


def _show_bundle(manifest: "Manifest", activate: bool, as_json: bool) -> None:
    if as_json:
        emit_json(manifest)
        return
    rows: list[tuple[str, Any]] = [
        ("items", manifest.n_items),
        ("users", manifest.window.users),
        ("interactions", manifest.window.interactions),
        *manifest.metrics.items(),
    ]
    show(table(["|", "|cyan|right"], rows, title=f"Bundle {manifest.version}"))
    show(table(["step", "seconds|dim|right"], list(manifest.seconds.items())))
    note("It is active." if activate else f"`kindred models activate {manifest.version}` lets it serve.", style="green")

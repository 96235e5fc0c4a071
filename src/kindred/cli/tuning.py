"""`kindred tune`: the settings of a model, chosen on rows held back from training."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show, table, when
from kindred.cli.progress import steps
from kindred.cli.session import opened_stores, read_settings
from kindred.core.clock import SystemClock
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from kindred.settings.load import Settings
    from kindred.training.tuning.study import Tuned


async def tune(
    model: Annotated[str, Parameter(help="A retrieval model, such as `als`.")],
    /,
    *,
    trials: Annotated[int, Parameter(help="Settings to try, those of an interrupted search counted.")] = 30,
    minutes: Annotated[float | None, Parameter(help="Begin no trial after so many minutes.")] = None,
    write: Annotated[
        bool, Parameter(negative="", help="Write the best settings into the settings file, where they are better.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search the settings of a retrieval model on a validation split cut from the training data.

    Nothing else is changed, and no test split is looked at. An interrupted search goes on where it was.
    """
    from kindred.app.sections import train_configs
    from kindred.ports.operations import alone
    from kindred.settings.edit import write_values
    from kindred.training.collect import collect
    from kindred.training.tuning.study import search_space
    from kindred.training.tuning.study import tune as search

    search_space(model)
    if trials < 1 or (minutes is not None and minutes <= 0):
        raise InvalidInput.at("/trials" if trials < 1 else "/minutes", "must be more than 0")
    settings = read_settings()
    async with opened_stores(settings) as stores, alone(stores.leases, "tuner", "is tuning"):
        with steps() as shown:
            shown.tell("data")
            dataset = await collect(stores)
            found = search(
                model,
                dataset,
                train_configs(settings),
                SystemClock().now(),
                settings.home,
                trials=trials,
                minutes=minutes,
                progress=shown.tell,
            )
    better = found.difference.mean > 0
    if write and better:
        write_values(settings.file, model, found.settings)
    if as_json:
        emit_json(found)
    else:
        _show(found, settings, written=write and better)


def _show(found: "Tuned", settings: "Settings", written: bool) -> None:
    from kindred.settings.edit import toml_lines

    split = "each user's newest rows" if found.cut is None else f"rows from {when(found.cut)} on"
    rows = [
        (name, f"{one.mean:.4f}", f"{one.low:.4f} … {one.high:.4f}")
        for name, one in (("present settings", found.present), ("best trial", found.best))
    ]
    gap = found.difference
    rows.append(("best − present", f"{gap.mean:+.4f}", f"{gap.low:+.4f} … {gap.high:+.4f}"))
    title = f"{found.model}: {found.metric} of {found.users:,} users, {found.trials} trials on {split}"
    show(table(["|", "mean|cyan|right", "95 % interval||right"], rows, title=title))
    if gap.mean <= 0:
        show("No trial was better than the present settings.")
        return
    show(toml_lines(found.model, found.settings))
    if not gap.excludes_zero:
        note("The interval of the difference holds zero: it may be chance.", style="yellow")
    # The best of many trials on one split looks better than it is.
    note("Chosen on this split, it flatters itself there: rows that come later judge it.", style="dim")
    if written:
        note(f"written to {settings.file}", style="green")
        _warn_of_variables(found, settings)


def _warn_of_variables(found: "Tuned", settings: "Settings") -> None:
    for name in found.settings:
        leaf = settings.find(f"{found.model}.{name}")
        if settings.origin(leaf).layer == "environment":
            note(f"the variable {leaf.variable} stands over what was written: unset it", style="yellow")

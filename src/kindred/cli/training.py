"""`kindred train` and `kindred evaluate`."""

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.text import Text

from kindred.cli.output import Json, emit_json, note, show, table
from kindred.cli.progress import steps
from kindred.cli.session import opened_stores, read_settings
from kindred.core.clock import SystemClock
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from kindred.core.bundle import Manifest
    from kindred.evaluation.intervals import Interval
    from kindred.training.evaluate import EvaluationReport

Protocol = Literal["per-user", "rolling"]

_FIRST = ("ndcg@10", "recall@10", "hit_rate@10", "ndcg@20", "recall@20", "hit_rate@20")
_JUDGED = "ndcg@10"
_SHOWN = ("data.", "holdout.", "gate.ndcg@10.", "gate.request", "increment.", "gate.norm", "gate.canary")
"""Metrics that are shown; the bundle's record has all of them."""


async def train(
    *,
    activate: Annotated[bool, Parameter(help="Let it serve at once.")] = True,
    increment: Annotated[
        bool, Parameter(help="Only learn what is new since the active bundle, and publish the rows that change.")
    ] = False,
    only: Annotated[
        tuple[str, ...], Parameter(help="Fit only this model (repeatable), on the active bundle's data; take the rest.")
    ] = (),
    since: Annotated[
        str | None, Parameter(help="Learn only from what happened since: a span (90d, 12h, 6w) or a date.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train all models on what was imported and tracked, and publish them as a bundle; running servers swap to it.

    A training that was cut off is taken up where it stood. A bundle that does not pass the gate is not published (exit
    code 6).
    """
    from kindred.app.sections import train_configs
    from kindred.training.increment.run import increment as run_increment
    from kindred.training.run import train as run_training
    from kindred.training.steps.begin import Wanted

    if increment and (only or since):
        raise InvalidInput("an increment learns all that is new: leave out --only and --since, or --increment")
    settings = read_settings()
    configs, clock = train_configs(settings), SystemClock()
    async with opened_stores(settings) as stores:
        with steps() as shown:
            if increment:
                manifest = await run_increment(stores, configs, clock, shown.tell, activate)
            else:
                wanted = Wanted(only, since)
                manifest = await run_training(stores, configs, clock, shown.tell, activate, wanted)
    if manifest is None:
        _show_nothing_new(as_json)
    else:
        _show_bundle(manifest, activate, as_json)


async def evaluate(
    *,
    protocol: Annotated[
        Protocol,
        Parameter(help="Hold back each user's newest rows (per-user), or all after several moments (rolling)."),
    ] = "per-user",
    origins: Annotated[int, Parameter(help="Moments of the rolling protocol, at least 3.")] = 3,
    horizon_days: Annotated[
        float | None, Parameter(help="Days after each moment; default a twelfth of the data.")
    ] = None,
    max_users: Annotated[int | None, Parameter(help="Replay at most so many users.")] = None,
    as_json: Json = False,
) -> None:
    """Judge the whole funnel against every source alone and popularity, on rows that nothing was trained on.

    Nothing of the data folder is changed.
    """
    from kindred.app.sections import train_configs
    from kindred.training.collect import collect
    from kindred.training.evaluate import EvaluationConfig, run_evaluation
    from kindred.training.replay import ReplayPorts

    options = EvaluationConfig(
        protocol=protocol,
        origins=origins,
        horizon=None if horizon_days is None else horizon_days * 86_400,
        max_users=max_users,
    )
    settings = read_settings()
    async with opened_stores(settings) as stores:
        with steps() as shown:
            shown.tell("data")
            configs = train_configs(settings)
            dataset = await collect(stores, slots=configs.ranker.slots, traits=configs.segments.by)
            ports = ReplayPorts(stores.catalog, stores.vectors)
            report = await run_evaluation(dataset, configs, ports, options, shown.tell)
    if as_json:
        emit_json(report.to_dict())
    else:
        _show_evaluation(report)


def _show_nothing_new(as_json: bool) -> None:
    if as_json:
        emit_json(None)
    else:
        show("Nothing is new since the active bundle, so there is nothing to publish.")


def _show_bundle(manifest: "Manifest", activate: bool, as_json: bool) -> None:
    if as_json:
        emit_json(manifest)
        return
    rows: list[tuple[str, Any]] = [
        ("items", manifest.n_items),
        ("users", manifest.window.users),
        ("interactions", manifest.window.interactions),
        *((name, value) for name, value in manifest.metrics.items() if name.startswith(_SHOWN)),
    ]
    show(table(["|", "|cyan|right"], rows, title=f"Bundle {manifest.version}"))
    spent = "  ".join(f"{step} {seconds:.1f}" for step, seconds in manifest.seconds.items())
    note(f"seconds: {spent}", style="dim")
    note(f"`kindred models show {manifest.version}` says what the gate looked at.", style="dim")
    note("It is active." if activate else f"`kindred models activate {manifest.version}` lets it serve.", style="green")


def _show_evaluation(report: "EvaluationReport") -> None:
    tables = report.tables
    metrics = list(next(iter(tables.metrics.values())))
    names = [*(name for name in _FIRST if name in metrics), *(name for name in metrics if name not in _FIRST)]
    totals = list(next(iter(tables.totals.values()), {}))
    rows = [
        (system, *(found[name].mean for name in names), *(tables.totals.get(system, {}).get(t) for t in totals))
        for system, found in sorted(tables.metrics.items(), key=lambda pair: -_sortable(pair[1][_JUDGED].mean))
    ]
    heads = ["|bold", *(f"{name}||right" for name in [*names, *totals])]
    users = sum(origin.users for origin in report.origins)
    show(table(heads, rows, title=f"{report.protocol}: {users:,} users in {len(report.origins)} split(s)"))
    differences = [
        (system, *_difference(found[_JUDGED]))
        for system, found in sorted(tables.funnel_minus.items(), key=lambda pair: -_sortable(pair[1][_JUDGED].mean))
    ]
    heads = ["against|bold", "difference||right", "95 % interval||right", ""]
    show(table(heads, differences, title=f"The funnel's {_JUDGED} minus each other's, paired by user"))
    note(
        f"exploration is off, but in the row that names it ({report.exploration:g}); {report.seconds:.1f} s",
        style="dim",
    )


def _difference(interval: "Interval") -> tuple[str, str, Text]:
    if interval.low > 0:
        verdict = Text("better", style="green")
    elif interval.high < 0:
        verdict = Text("worse", style="red")
    else:
        verdict = Text("no clear difference", style="yellow")
    return f"{interval.mean:+.4f}", f"{interval.low:+.4f} … {interval.high:+.4f}", verdict


def _sortable(value: float) -> float:
    return -math.inf if math.isnan(value) else value

"""`kindred models show|compare|card`: what a training run was given, what it measured, and how two runs differ."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kindred.cli.output import Json, emit_json, note, show, table, when
from kindred.cli.session import opened_stores, read_settings
from kindred.core.config import nearest
from kindred.core.errors import NotFound

if TYPE_CHECKING:
    from kindred.ports.models import ModelStore
    from kindred.training.records import Figure, RunRecord, RunRecords

Version = Annotated[str, Parameter(help="A bundle's version, `active`, or `previous`: the one trained before it.")]


async def show_run(version: Version = "active", /, *, as_json: Json = False) -> None:
    """Show the training run that made a bundle, or that was refused: data, metrics, seconds, checks."""
    (record,) = await _found(version)
    if as_json:
        emit_json(record)
        return
    window = record.window
    rows: list[tuple[str, Any]] = [
        ("kind", record.kind),
        ("outcome", record.outcome),
        *([("error", record.error)] if record.error else []),
        ("from", when(record.started)),
        ("to", when(record.finished)),
        *([] if window is None else [("first row", when(window.first)), ("last row", when(window.last))]),
        *([] if window is None else [(name, getattr(window, name)) for name in ("interactions", "users", "items")]),
        ("seed", None if record.seed is None else str(record.seed)),
        ("code", record.code_version),
        ("peak memory, MiB", record.peak_mib),
    ]
    show(table(["|", "|cyan"], rows, title=f"Run {record.version}"))
    if record.metrics:
        figures = [(name, _figure(found)) for name, found in record.metrics.items()]
        show(table(["metric", "value|cyan|right"], figures))
    if record.gate:
        checks = [(check.name, check.value, check.limit, _verdict(check.passed), check.said) for check in record.gate]
        show(table(["check", "value||right", "limit||right", "", "said|dim"], checks))
    note("seconds: " + "  ".join(f"{step} {spent:.1f}" for step, spent in record.seconds.items()), style="dim")


async def compare_runs(a: Version, b: Version, /, *, as_json: Json = False) -> None:
    """Put two training runs side by side: settings and data that differ, metrics with B minus A, seconds."""
    from kindred.training.comparison import compare

    found = compare(*await _found(a, b))
    if as_json:
        emit_json(found)
        return
    changed = [(name, _text(pair.a), _text(pair.b)) for name, pair in (*found.facts.items(), *found.parameters.items())]
    if changed:
        show(table(["differs|cyan", f"A {found.a}", f"B {found.b}"], changed, title="Data and settings"))
    else:
        show("Data and settings are the same.")
    metrics = [
        (
            name,
            *(None if each is None else _figure(each) for each in (pair.a, pair.b)),
            None if pair.difference is None else f"{pair.difference:+.4g}",
            {None: "", True: "intervals apart", False: "intervals overlap"}[pair.apart],
        )
        for name, pair in found.metrics.items()
    ]
    show(table(["metric|cyan", "A||right", "B||right", "B − A||right", "|dim"], metrics, title="Metrics"))
    seconds = [(name, pair.a, pair.b) for name, pair in found.seconds.items()]
    show(table(["step|cyan", "A||right", "B||right"], seconds, title="Seconds"))


async def show_card(version: Version = "active", /) -> None:
    """Print a bundle's model card as Markdown: data, figures by segment, known limits, settings."""
    from kindred.training.card import FILE, card
    from kindred.training.records import RunRecords

    settings = read_settings()
    async with opened_stores(settings) as stores:
        named = await _version(version, [each.version for each in await stores.models.bundles()], stores.models)
        try:
            kept = (await stores.models.open(named))[1] / FILE
        except NotFound:
            kept = None
        written = kept.read_text(encoding="utf-8") if kept is not None and kept.exists() else None
        said = written or card(await _record(named, stores.models, RunRecords(settings.home)))
    print(said, end="")


async def _found(*versions: str) -> "list[RunRecord]":
    """Return the records of the named runs, from a bundle's manifest where none is kept; raise NotFound."""
    from kindred.training.records import RunRecords

    settings = read_settings()
    records = RunRecords(settings.home)
    async with opened_stores(settings) as stores:
        return [await _record(name, stores.models, records) for name in versions]


async def _record(name: str, store: "ModelStore", records: "RunRecords") -> "RunRecord":
    from kindred.training.records import from_manifest

    manifests = {manifest.version: manifest for manifest in await store.bundles()}
    version = await _version(name, list(manifests), store)
    try:
        return records.read(version)
    except NotFound:
        if version in manifests:
            return from_manifest(manifests[version])
        near = nearest(version, [*manifests, *(record.version for record in records.records())])
        asked = f"did you mean {near}?" if near else "`kindred models list` names the bundles"
        raise NotFound(f"no run or bundle {version!r} is kept; {asked}") from None


async def _version(name: str, kept: list[str], store: "ModelStore") -> str:
    """Return what `active` and `previous` stand for; another name stands for itself."""
    if name not in ("active", "previous"):
        return name
    active = await store.active()
    older = kept[kept.index(active) + 1 :] if active in kept else kept
    version = active if name == "active" else next(iter(older), None)
    if version is None:
        raise NotFound(f"there is no {name} bundle yet: `kindred train` makes one")
    return version


def _figure(found: "Figure") -> str:
    value = "–" if found.value is None else f"{found.value:.4g}"
    return value if found.low is None or found.high is None else f"{value} [{found.low:.4g}, {found.high:.4g}]"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _verdict(passed: bool) -> str:
    return "passed" if passed else "refused"

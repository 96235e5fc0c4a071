"""`kindred models`: the kept bundles, and which one serves."""

from cyclopts import App

from kindred.cli.model_records import compare_runs, show_card, show_run
from kindred.cli.output import Json, emit_json, show, table, when
from kindred.cli.session import opened_stores
from kindred.core.bundle import Manifest
from kindred.core.errors import Conflict, NoBundle

models = App(name="models", help="List trained bundles, compare them, activate one, or roll back.")
models.command(show_run, name="show")
models.command(compare_runs, name="compare")
models.command(show_card, name="card")


@models.command(name="list")
async def list_models(*, as_json: Json = False) -> None:
    """List the kept bundles, newest first."""
    async with opened_stores() as stores:
        bundles, active = await stores.models.bundles(), await stores.models.active()
    if as_json:
        emit_json([{"active": m.version == active, **_plain(m)} for m in bundles])
        return
    if not bundles:
        show("No bundle yet: `kindred train` makes one.")
        return
    rows = [
        (
            "●" if m.version == active else "",
            m.version,
            when(m.created),
            m.n_items,
            m.window.interactions,
            ", ".join(m.models),
            _metrics(m),
        )
        for m in bundles
    ]
    columns = ["|green", "version|cyan", "trained|dim", "items||right", "interactions||right", "models", "metrics"]
    show(table(columns, rows))


@models.command(name="activate")
async def activate_model(version: str, /) -> None:
    """Make a kept bundle the one that serves; running servers swap to it."""
    async with opened_stores() as stores:
        await stores.models.activate(version)
    show(f"Bundle {version} is active; running servers swap to it.", style="green")


@models.command(name="rollback")
async def roll_back() -> None:
    """Activate the bundle before the active one."""
    async with opened_stores() as stores:
        store = stores.models
        active, kept = await store.active(), [m.version for m in await store.bundles()]
        if active is None:
            raise NoBundle
        older = kept[kept.index(active) + 1 :] if active in kept else kept
        if not older:
            raise Conflict(f"no bundle older than {active} is kept, so there is none to roll back to")
        await store.activate(older[0])
    show(f"Rolled back from {active} to {older[0]}; running servers swap to it.", style="green")


def _metrics(manifest: Manifest) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in list(manifest.metrics.items())[:3])


def _plain(manifest: Manifest) -> dict[str, object]:
    return {
        "version": manifest.version,
        "created": manifest.created,
        "items": manifest.n_items,
        "interactions": manifest.window.interactions,
        "models": manifest.models,
        "metrics": manifest.metrics,
        "seconds": manifest.seconds,
    }

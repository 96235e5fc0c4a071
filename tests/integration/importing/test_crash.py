"""Imports that end half-way are completed by the next one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kindred.core.errors import StoreUnavailable
from kindred.core.event import Imported, decode_event
from kindred.core.position import START, Position
from kindred.ingest.fold_columns import read_fold
from kindred.ingest.importing import ImportStores, finish, lake, load_mapping, run_import
from kindred.ingest.importing.lake import Lake


class Crash(BaseException):
    """The process ended here."""


def breaking(target: object, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_: Any, **__: Any) -> None:
            raise Crash

        monkeypatch.setattr(target, name, crash)

    return patch


STEPS = {
    "before the parts are written": breaking(lake.Staged, "write"),
    "before the commit": breaking(Lake, "commit"),
    "before the rows are published": breaking(Lake, "publish_rows"),
    "before the profiles": breaking(finish, "_write_profiles"),
    "before the history": breaking(finish, "_write_history"),
    "before the marker": breaking(finish, "Imported"),
    "before the position is noted": breaking(Lake, "close"),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_made_whole(shop: Path, stores: ImportStores, step: str) -> None:
    mapping = load_mapping(shop / "mapping.toml")
    with pytest.MonkeyPatch.context() as monkeypatch:
        STEPS[step](monkeypatch)
        with pytest.raises(Crash):
            await run_import(mapping, stores)
    await run_import(mapping, stores)
    again = await run_import(mapping, stores)
    assert (again.new, again.known, again.finished) == (0, 4, [])
    (manifest,) = Lake(stores.lake).manifests()
    assert manifest.position is not None
    assert (await stores.interactions.counts())[0] == 4
    assert sum(len(fold) for fold in read_fold(stores.lake, manifest.import_id)) == 4
    assert all(await stores.profiles.get(["ann", "zoe"]))
    assert not (stores.lake / "staging").exists() or not any((stores.lake / "staging").iterdir())
    events = [decode_event(record.data) for record in await stores.log.read(START, 10)]
    assert {event.import_id for event in events if isinstance(event, Imported)} == {manifest.import_id}


async def test_who_was_erased_after_the_marker_stays_erased(shop: Path, stores: ImportStores) -> None:
    """A crash before the marker's position was noted is made whole without writing history and profiles again."""
    mapping = load_mapping(shop / "mapping.toml")
    with pytest.MonkeyPatch.context() as monkeypatch:
        STEPS["before the position is noted"](monkeypatch)
        with pytest.raises(Crash):
            await run_import(mapping, stores)
    assert await stores.interactions.forget("bob", Position(0, 0, 0)) > 0
    assert await stores.profiles.delete(["ann"]) == 1
    report = await run_import(load_mapping(shop / "mapping.toml"), stores)
    assert len(report.finished) == 1
    assert await stores.interactions.by_user("bob", 10) == []
    (manifest,) = [each for each in Lake(stores.lake).manifests() if each.import_id in report.finished]
    assert manifest.position == "0.0.0"


async def test_a_store_that_fails_is_reported_and_tried_again(
    shop: Path, stores: ImportStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> int:
        raise StoreUnavailable("the history has no room")

    mapping = load_mapping(shop / "mapping.toml")
    with monkeypatch.context() as patch:
        patch.setattr(stores.interactions, "add_columns", refuse)
        with pytest.raises(StoreUnavailable, match="no room"):
            await run_import(mapping, stores)
    report = await run_import(mapping, stores)
    assert len(report.finished) == 1
    assert (report.known, (await stores.interactions.counts())[0]) == (4, 4)


CHILD = """
import asyncio, sys
from pathlib import Path
from kindred.adapters.local.leases import open_leases
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.adapters.sqlite.interactions import open_interactions
from kindred.adapters.sqlite.profiles import open_profiles
from kindred.core.position import Position
from kindred.ingest.importing import ImportStores, load_mapping, run_import

async def main(home, mapping):
    stores = ImportStores(
        await open_catalog("catalog.sqlite", home), await open_profiles("profiles.sqlite", home),
        await open_interactions("history.sqlite", home), await open_event_log("log", home),
        await open_leases("leases", home), home / "lake",
    )
    report = await run_import(load_mapping(mapping), stores, progress=lambda p: print(p.step, flush=True))
    print("done", report.new + report.known, (await stores.interactions.counts())[0], flush=True)

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def child(home: Path, mapping: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(home), str(mapping)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_processes_leave_nothing_undone(tmp_path: Path) -> None:
    rows = 30_000
    users = [f"u{number % 997}" for number in range(rows)]
    items = [f"i{number % 313}" for number in range(rows)]
    pl.DataFrame({"u": users, "i": items}).write_parquet(tmp_path / "a.parquet")
    mapping = tmp_path / "m.toml"
    mapping.write_text(
        'source = "s"\n[interactions]\npath = "a.parquet"\n'
        'columns = { user_id = "u", item_id = "i", event_type = { constant = "view" } }\n'
    )
    home = tmp_path / "home"
    home.mkdir()
    for step, delay in (("interactions", 0.0), ("parts", 0.01), ("parts", 0.15)):
        with child(home, mapping) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == step:
                    break
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    with child(home, mapping) as process:
        output, _ = process.communicate(timeout=200)
    assert output.splitlines()[-1] == f"done {rows} {rows}"
    (manifest,) = Lake(home / "lake").manifests()
    assert manifest.position is not None

"""A trainer that is killed at any step: the active bundle stays and serves, and the next run goes on or begins anew."""

import dataclasses
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
from tests.e2e.platform.server import Server, eventually, new_token, recommend
from tests.integration.training.doomed import CONFIGS, HOUR, NOW
from tests.integration.training.test_increment import N_ITEMS, purchases
from tests.integration.training.test_run import listed, logged

from kindred.app.sections import StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.clock import FixedClock
from kindred.core.event import ProfileErased
from kindred.models.als import AlsConfig
from kindred.recommend.model_set import open_layers, open_models
from kindred.training.records import RunRecords
from kindred.training.run import train
from kindred.training.steps.work import Work

REPOSITORY = Path(__file__).parents[3]

# Many trainings one after the other, on a machine that may be busy.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def trained(tmp_path: Path) -> AsyncIterator[Stores]:
    """Return the stores of a data folder with a bundle, and events that came after it."""
    home = tmp_path / "home"
    home.mkdir()
    stores = await open_stores(StoresConfig(), home)
    await listed(stores, N_ITEMS)  # type: ignore[arg-type]
    await logged(stores, *purchases(1, 0, 60, 8, NOW))  # type: ignore[arg-type]
    await train(stores, CONFIGS, FixedClock(NOW + 1))
    await logged(stores, *purchases(2, 10_000, 60, 2, NOW + HOUR))  # type: ignore[arg-type]
    yield stores
    await stores.close()


class Trainers:
    """Trainers in processes of their own, killed at the step or artefact of a number or at a step of a name."""

    def __init__(self, home: Path, phase: str) -> None:
        command = [sys.executable, "-m", "tests.integration.training.doomed", str(home), phase]
        self._nursery = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._nursery.kill()
        self._nursery.communicate()

    def run(self, at: int | str) -> tuple[bool, list[str]]:
        """Run one; say whether it was killed, and what it said before."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(f"{at}\n")
        said: list[str] = []
        while not (line := self._nursery.stdout.readline().strip()).startswith("ended"):
            said.append(line)
        code = int(line.split()[1])
        assert code in (0, -signal.SIGKILL), said
        return code != 0, said


async def test_killed_at_the_beginning_of_every_step_the_active_bundle_serves_and_the_next_run_goes_on(
    trained: Stores,
) -> None:
    active, bundles = await trained.models.active(), len(await trained.models.bundles())
    server = Server(trained.home, new_token(trained.home))
    with server, server.client() as client, Trainers(trained.home, "start") as trainers:
        number, killed, steps = 0, True, []
        while killed:
            number += 1
            killed, steps = trainers.run(number)
            if killed:
                assert await trained.models.active() == active
                assert recommend(client, "u1")["model_version"] == active
        newest = await trained.models.active()
        assert newest != active
        eventually(lambda: recommend(client, "u1")["model_version"] == newest)
    assert {"data", "als", "index", "blend", "evaluation", "gate", "write", "publish"} <= set(steps)
    assert number == len(steps) + 1
    assert len(await trained.models.bundles()) == bundles + 1
    assert not (trained.home / "training" / "work").exists()
    (record, *_) = RunRecords(trained.home).records()
    assert (record.version, record.outcome) == (newest, "published")


@pytest.mark.long
async def test_an_artefact_that_was_cut_off_is_made_again(trained: Stores) -> None:
    active = await trained.models.active()
    cut_off: list[str] = []
    with Trainers(trained.home, "half") as trainers:
        while True:
            killed, said = trainers.run(2 if cut_off else 1)
            if not killed:
                break
            cut_off += said
            assert await trained.models.active() == active
    assert {"als", "als/index", "content/index", "blend", "answers"} <= set(cut_off)
    newest = await trained.models.active()
    assert newest not in (None, active)
    await trained.models.activate(str(newest))
    assert open_models(*await open_layers(trained.models, str(newest)), trained.vectors).n_items == N_ITEMS


async def test_what_was_fitted_before_the_kill_is_not_fitted_again(trained: Stores) -> None:
    """Rows that came meanwhile wait for the next training; the bundle is the one that the killed run was making."""
    with Trainers(trained.home, "start") as trainers:
        killed, steps = trainers.run("holdout")
    assert killed
    work = Work(trained.home / "training" / "work")
    plan = work.plan()
    assert plan is not None
    await logged(trained, *purchases(3, 20_000, 10, 2, NOW + 2 * HOUR))  # type: ignore[arg-type]
    fitted: list[str] = []
    drop = Work.drop

    def dropped(work: Work, name: str) -> None:
        fitted.append(name)
        drop(work, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "drop", dropped)
        manifest = await train(trained, CONFIGS, FixedClock(NOW + 2 * HOUR))
    assert manifest.version == plan.version
    assert manifest.window.position == plan.position
    # The models of all rows were there; those before the split were under work.
    assert steps[-1].startswith("holdout "), steps
    assert fitted.count("als") == 1, fitted


@pytest.mark.parametrize("damage", ["settings", "rows", "age", "file"])
async def test_work_that_does_not_fit_any_more_is_not_taken_up(trained: Stores, damage: str) -> None:
    with Trainers(trained.home, "start") as trainers:
        trainers.run("holdout")
    folder = trained.home / "training" / "work"
    plan = Work(folder).plan()
    assert plan is not None
    configs, now = CONFIGS, NOW + 2 * HOUR
    if damage == "settings":
        configs = dataclasses.replace(CONFIGS, als=AlsConfig(factors=4, iterations=3, regularization=1.0))
    elif damage == "rows":
        await logged(trained, ProfileErased(event_id="x", timestamp=now, ingested_at=now, user_id="u3"))  # type: ignore[arg-type]
    elif damage == "age":
        now += 72 * HOUR
    else:
        array = next((folder / "models" / "item_item").glob("*.npy"))
        array.write_bytes(array.read_bytes()[:-8])
    manifest = await train(trained, configs, FixedClock(now))
    assert (manifest.version == plan.version) == (damage == "file")
    opened = open_models(*await open_layers(trained.models, manifest.version), trained.vectors)
    assert opened.item_item.n_items == N_ITEMS

"""What is published can be opened, and a run that was cut off while it published undoes no rollback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.training.test_gate import filled, gated, learn  # noqa: F401
from tests.integration.training.test_run import Stores, stores  # noqa: F401

from kindred.adapters.local.models import LocalModelStore
from kindred.core.errors import BundleCorrupt
from kindred.training import run
from kindred.training.gate.check import GateRefused
from kindred.training.gate.trials import Trials
from kindred.training.records import RunRecords


class Killed(BaseException):
    """The end of a trainer; nothing of it runs any more."""


def killed(*_: object) -> None:
    raise Killed


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    """Return what is undone at the end of the test, or earlier."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


async def test_what_no_server_could_open_is_not_published(
    filled: Stores,  # noqa: F811
    patch: pytest.MonkeyPatch,
) -> None:
    active = await learn(filled)
    link_tree = run.link_tree

    def broken(source: Path, target: Path) -> None:
        link_tree(source, target)
        (target / "popularity" / "scores.npy").unlink()

    patch.setattr(run, "link_tree", broken)
    with pytest.raises(BundleCorrupt, match="popularity"):
        await learn(filled, hours=2)
    assert [each.version for each in await filled.models.bundles()] == [active.version]
    assert await filled.models.active() == active.version
    assert not (filled.home / "training" / "work").exists()


@pytest.mark.parametrize("rolled_back", [False, True])
async def test_a_bundle_whose_run_was_killed_before_it_became_active(
    filled: Stores,  # noqa: F811
    patch: pytest.MonkeyPatch,
    rolled_back: bool,
) -> None:
    first, second = await learn(filled), await learn(filled, hours=2)
    patch.setattr(Trials, "keep", killed)
    with pytest.raises(Killed):
        await learn(filled, hours=3)
    patch.undo()
    assert await filled.models.active() == second.version
    if rolled_back:
        await filled.models.activate(first.version)
    third = await learn(filled, hours=4)
    assert third.version not in (first.version, second.version)
    assert len(await filled.models.bundles()) == 3, "the killed run had published it"
    assert await filled.models.active() == (first if rolled_back else third).version


async def test_nothing_is_left_to_take_up_once_a_bundle_is_active(
    filled: Stores,  # noqa: F811
    patch: pytest.MonkeyPatch,
) -> None:
    """So no later run can make it active again after a rollback."""
    left: list[bool] = []
    activate = LocalModelStore.activate

    async def heard(store: LocalModelStore, version: str) -> None:
        left.append((filled.home / "training" / "work").exists())
        await activate(store, version)

    patch.setattr(LocalModelStore, "activate", heard)
    manifest = await learn(filled)
    assert await filled.models.active() == manifest.version
    assert left == [False]


async def test_another_number_of_judges_is_asked_anew(filled: Stores) -> None:  # noqa: F811
    versions = set()
    for users in (60, 70):
        with pytest.raises(GateRefused):
            await learn(filled, gated(latency_ms=1e-6, users=users))
        (record,) = RunRecords(filled.home).records()
        (said,) = (check.said for check in record.gate if check.name == "popularity")
        assert f"{users} users" in said
        versions.add(record.version)
    assert len(versions) == 1, "the work was taken up"

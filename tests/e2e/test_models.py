"""Over HTTP: a bundle with one model more proposes, scores and says so; one that cannot be served changes nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.inside import opened
from tests.e2e.platform.server import Server, eventually, ids, kindred, recommend
from tests.e2e.test_bad_conditions import FORBIDDEN

from kindred.models.preference import Interactions, preferences
from kindred.models.protocol import Retriever
from kindred.models.two_tower import TwoTowerConfig
from kindred.training.bundle import INDEX
from kindred.training.fit.inputs import FitInput

RETRIEVAL = '["als", "item_item", "ease"]'


def test_one_more_model_proposes_scores_and_is_named(home: Path, start: StartServer) -> None:
    kindred(home, "train", KINDRED_TRAINING_RETRIEVAL=RETRIEVAL, KINDRED_TRAINING_HOLDOUT_SHARE="0")
    server = start(home, KINDRED_PLACEMENTS_SEARCH_WEIGHTS="{ease = 1.0}")
    with server.client() as client:
        said = recommend(client, "1", count=50, trace=True)
        stages = {stage["stage"]: stage for stage in said["trace"]["stages"]}
        assert stages["ease"]["kind"] == "source"
        assert stages["ease"]["left"] > 0
        rows = said["recommendations"]
        assert any("ease" in row["sources"] for row in rows)
        # Where it alone is weighed, it alone brings what is shown, and says why.
        alone = recommend(client, "1", placement="search", count=10)["recommendations"]
        assert {row["source"] for row in alone} == {"ease"}
        assert all(row["anchor_item_id"] and row["reason"].startswith("Because you") for row in alone)
        assert recommend(client, "nobody")["recommendations"], "a cold user gets a slate"


async def publish_with(home: Path, name: str, fit: Callable[[int], Retriever] | None = None) -> str:
    """Publish the active bundle again as one that says that it holds the model `name` too; return its version.

    It does hold it where `fit` makes it, of the number of items.
    """
    async with opened(home) as stores:
        manifest, folder = await stores.models.open(str(await stores.models.active()))
        staged = await stores.models.stage()
        shutil.copytree(folder, staged, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        if fit is not None:
            model = fit(manifest.n_items)
            model.save(staged / name)
            assert model.item_vectors is not None
            (staged / name / INDEX).mkdir()
            stores.vectors.build(model.item_vectors, staged / name / INDEX)
        retrievers = (*manifest.retrievers, name)
        made = msgspec.structs.replace(manifest, version="neural", retrievers=retrievers, files={})
        await stores.models.publish(staged, made)
        return manifest.version


def without(module: str, folder: Path) -> str:
    """Return a PYTHONPATH under which a module is not there."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


async def test_a_neural_bundle_without_its_extra_says_what_to_install(
    home: Path, tmp_path: Path, start: StartServer
) -> None:
    server: Server = start(home, PYTHONPATH=without("onnxruntime", tmp_path / "bare"))
    with server.client() as client:
        before = ids(recommend(client, "1"))
        version = await publish_with(home, "two_tower")

        def warned() -> httpx.Response | None:
            answer = server.get("/health/ready")
            return answer if "two_tower" in answer.text else None

        answer = eventually(warned)
        assert answer.status_code == 200
        assert "pip install 'kindred[onnx]'" in answer.text
        said = recommend(client, "1")
        assert (said["model_version"], ids(said)) == (version, before)


def two_towers(n_items: int) -> Retriever:
    """Return the smallest two towers, which met every item once."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from kindred.training.neural.two_tower import fit_two_tower

    items = np.random.default_rng(1).permutation(n_items).astype(np.int32)
    users = (np.arange(n_items) // 10).astype(np.int32)
    none = np.full(n_items, -1, np.int64)
    rows = Interactions(
        users, items, none, np.zeros(n_items, np.int16), np.full(n_items, np.nan, np.float32), ("view",)
    )
    data = FitInput(preferences(rows, 0), rows, int(users[-1]) + 1, n_items, 0, threads=1)
    return fit_two_tower(data, TwoTowerConfig(embedding=8, layers=(8,), heads=1, batch=512, negatives=8, epochs=1))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not show a process's maps")
async def test_a_neural_model_is_served_without_what_trained_it(home: Path, start: StartServer) -> None:
    await publish_with(home, "two_tower", two_towers)
    server = start(home, KINDRED_PLACEMENTS_SEARCH_WEIGHTS="{two_tower = 1.0}")
    with server.client() as client:
        rows = recommend(client, "1", placement="search", count=10)["recommendations"]
    assert any(row["source"] == "two_tower" for row in rows)
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    assert "onnxruntime" in maps, "the network was not asked"
    assert not [name for name in FORBIDDEN if f"/{name}/" in maps]

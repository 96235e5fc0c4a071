"""One real data folder: the sample imported and a bundle trained, by the commands themselves."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Kindred = Callable[..., "subprocess.CompletedProcess[str]"]


SMALL = {
    "KINDRED_TRAINING_HOLDOUT_SHARE": "0",
    "KINDRED_CONTENT_DIMENSIONS": "8",
    "KINDRED_CONTENT_MAX_TERMS": "300",
    "KINDRED_ALS_FACTORS": "8",
    "KINDRED_ALS_ITERATIONS": "3",
}
"""A small training, for speed."""


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KINDRED_")}
    return {**kept, "KINDRED_HOME": str(home), "COLUMNS": "160", "OMP_NUM_THREADS": "1", **variables}


def runner(home: Path) -> Kindred:
    def kindred(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "kindred", *words],
            env=environment(home, **variables), capture_output=True, text=True, timeout=110, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr + done.stdout
        return done

    return kindred


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample and a bundle."""
    home = tmp_path_factory.mktemp("trained")
    kindred = runner(home)
    imported = kindred("import", "--sample")
    assert imported.returncode == 0, imported.stderr
    done = kindred("train", "--json", **SMALL)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def kindred(trained: Path) -> Kindred:
    return runner(trained)


@pytest.fixture
def fresh(tmp_path: Path) -> Kindred:
    return runner(tmp_path / "fresh")

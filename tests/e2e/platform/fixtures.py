"""Fixtures over real data folders and servers; a trained one is made once per test run and copied."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.platform.server import Server, kindred, new_token

from kindred.app.app import App, build_app
from kindred.app.sections import SCHEMA
from kindred.settings.load import load_settings

_TRAINED = pytest.StashKey[Path]()

StartServer = Callable[..., Server]


def copy_folder(source: Path, target: Path) -> Path:
    """Copy a data folder that nobody writes, holes kept."""
    subprocess.run(["cp", "-r", "--sparse=always", source, target], check=True)
    return target


@pytest.fixture(scope="session")
def trained_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the packaged data imported and one bundle; to be copied, never changed."""
    stash = request.config.stash
    if _TRAINED not in stash:
        home = tmp_path_factory.mktemp("trained") / "home"
        kindred(home, "import", "--sample")
        kindred(home, "train", timeout=280.0)
        (home.parent / "token").write_text(new_token(home))
        stash[_TRAINED] = home
    return stash[_TRAINED]


@pytest.fixture(scope="session")
def trained_token(trained_home: Path) -> str:
    """Return the token of the trained folder and of all its copies."""
    return (trained_home.parent / "token").read_text()


@pytest.fixture
def home(trained_home: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the trained folder for one test."""
    yield copy_folder(trained_home, tmp_path / "home")
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
async def app(home: Path) -> AsyncIterator[App]:
    """Run the application of a trained folder in this process."""
    made = await build_app(load_settings(SCHEMA, environ={}, home=home))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def empty_home(tmp_path: Path) -> Path:
    """Return a data folder with nothing in it."""
    made = tmp_path / "empty"
    made.mkdir()
    return made


@pytest.fixture
def start(trained_token: str) -> Iterator[StartServer]:
    """Return a function that starts a server on a copy of the trained folder; all of them end with the test."""
    with ExitStack() as stack:
        yield lambda home, **options: stack.enter_context(Server(home, trained_token, **options))


@pytest.fixture
def start_bare() -> Iterator[StartServer]:
    """Return a function that starts a server on an untrained folder, with a token of its own."""
    with ExitStack() as stack:
        yield lambda home, **options: stack.enter_context(Server(home, new_token(home), **options))

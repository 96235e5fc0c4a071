"""LMDB environments: one per folder and process, with maps that grow, and its errors in Kindred's words."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import lmdb

from kindred.core import files
from kindred.core.errors import StoreFull, StoreUnavailable

T = TypeVar("T")

READERS = 1_024


@contextmanager
def translating(store: str) -> Iterator[None]:
    """Turn LMDB's and the file system's errors into StoreFull or StoreUnavailable that name `store`."""
    try:
        with files.translating(store):
            yield
    except (lmdb.DiskError, lmdb.MapFullError) as error:
        raise StoreFull(f"{store}: no room left on the disk; make room and try again") from error
    except lmdb.CorruptedError as error:
        raise StoreUnavailable(f"{store}: the file is damaged; restore it or build it anew ({error})") from error
    except lmdb.InvalidError as error:
        raise StoreUnavailable(f"{store}: not a store of this kind, or damaged ({error})") from error
    except lmdb.Error as error:
        # LMDB reports a write that the disk cut short as an input/output error.
        if "Input/output error" in str(error) and files.is_full(Path(store)):
            raise StoreFull(f"{store}: no room left on the disk; make room and try again") from error
        raise StoreUnavailable(f"{store}: {error}") from error


class Environment:
    """One LMDB file, shared by threads of this process and by other processes.

    A map may only be resized while nothing of this process reads, hence one lock around reads and resizes; reads last
    microseconds. Writers queue on LMDB's own lock, which is freed when its holder dies.
    """

    def __init__(self, folder: Path, *, map_size: int, durable: bool = True) -> None:
        """Open or create the file; `map_size` bytes of address space at first, doubled when full."""
        self.folder = folder
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        with translating(str(folder)):
            files.make_folder(folder)
            self._env = lmdb.open(
                str(folder), map_size=map_size, max_readers=READERS, sync=durable, metasync=durable, mode=0o644
            )
            self._env.reader_check()
            self.main = self._env.open_db(None)

    def read(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Run `work` in one snapshot; its values are buffers that are only good inside of it."""
        with translating(str(self.folder)), self._reading:
            return work_in(self._begin_read(), work)

    def write(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Run `work` in one write transaction, again from the start when the map was too small for it."""
        with translating(str(self.folder)), self._writing:
            while True:
                try:
                    return work_in(self._begin_write(), work)
                except lmdb.MapFullError:
                    with self._reading:
                        self._env.set_mapsize(2 * self._env.info()["map_size"])

    def copy(self, folder: Path) -> None:
        """Write a compact copy of one snapshot into a folder; readers and writers go on."""
        with translating(str(folder)):
            files.make_folder(folder)
            self._env.copy(str(folder), compact=True)
            files.sync(folder / "data.mdb")
            files.sync(folder)

    def close(self) -> None:
        """Close the file once no thread of this process works with it."""
        with self._writing, self._reading:
            self._env.close()

    def _begin_read(self) -> lmdb.Transaction:
        try:
            return self._env.begin(buffers=True)
        except lmdb.MapResizedError:
            # Another process made the map larger: size 0 adopts what it chose.
            self._env.set_mapsize(0)
        except lmdb.ReadersFullError:
            self._env.reader_check()
        return self._env.begin(buffers=True)

    def _begin_write(self) -> lmdb.Transaction:
        try:
            return self._env.begin(write=True, buffers=True)
        except lmdb.MapResizedError:
            with self._reading:
                self._env.set_mapsize(0)
            return self._env.begin(write=True, buffers=True)


def work_in(transaction: lmdb.Transaction, work: Callable[[lmdb.Transaction], T]) -> T:
    """Run `work` and commit; abort when it raises."""
    with transaction:
        return work(transaction)


_opened: dict[Path, tuple[Environment, int]] = {}
_opening = threading.Lock()


def acquire(folder: Path, *, map_size: int, durable: bool = True) -> Environment:
    """Return this process's environment of a folder; LMDB forbids a second one, so stores share it and count."""
    folder = folder.absolute()
    with _opening:
        environment, users = _opened.get(folder, (None, 0))
        if environment is None:
            environment = Environment(folder, map_size=map_size, durable=durable)
        _opened[folder] = environment, users + 1
        return environment


def release(environment: Environment) -> None:
    """Give an environment back; the last one to do so closes it."""
    with _opening:
        _, users = _opened[environment.folder]
        if users > 1:
            _opened[environment.folder] = environment, users - 1
        else:
            del _opened[environment.folder]
            environment.close()

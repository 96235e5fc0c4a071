"""The work folder of a training run: what each step made, so that a run that was cut off goes on where it stood."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from kindred.core import files
from kindred.core.errors import BundleError
from kindred.models.protocol import Model

M = TypeVar("M", bound=Model)
T = TypeVar("T")

_DONE = "done"
_PLAN = "plan.json"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was begun with; a later run goes on with its work only where all of it is the same again.

    `recipe`: hash of the settings, the code's version and what was asked for. `data`: hash of the rows. `position`,
    `catalogue_seq`, `n_items`: how far log and catalogue were read. `now`: ms, when it began. `version`: of the bundle.
    `active`: the version that was active then.
    """

    recipe: str
    data: str
    position: str | None
    catalogue_seq: int
    n_items: int
    now: int
    version: str
    active: str | None


class Done(msgspec.Struct, frozen=True):
    """Marks a step as finished: its files below the work folder, with size and hash."""

    files: dict[str, tuple[int, str]]


class Work:
    """Artefacts of steps below one folder, each counted only once its marker stands; `part` names a subfolder.

    The caller holds the training lease. Errors of the file system are raised as StoreFull and StoreUnavailable.
    """

    def __init__(self, root: Path, part: str = "") -> None:
        """Work in `root`, which need not be there."""
        self._root, self._part = root, part
        self.resumed: list[str] = []

    @property
    def folder(self) -> Path:
        """Return where the artefacts of this part lie."""
        return self._root / self._part

    @property
    def checkpoints(self) -> Path:
        """Return where fits of this part keep what they have of themselves."""
        return self._root / "checkpoints" / self._part

    def part(self, name: str) -> Self:
        """Return the same work with artefacts in the subfolder `name`, told apart from those of other parts."""
        inside = type(self)(self._root, name)
        inside.resumed = self.resumed
        return inside

    def plan(self) -> Plan | None:
        """Return what the work was begun with, None where there is none or it cannot be read."""
        try:
            return msgspec.json.decode((self._root / _PLAN).read_bytes(), type=Plan)
        except (OSError, msgspec.DecodeError):
            return None

    def begin(self, plan: Plan) -> None:
        """Clear the folder and begin anew."""
        with files.translating(self._root):
            self.clear()
            files.make_folder(self._root)
            files.replace_file(self._root / _PLAN, msgspec.json.encode(plan))

    def clear(self) -> None:
        """Delete everything."""
        # The plan first: without it nothing of the rest is ever taken over.
        (self._root / _PLAN).unlink(missing_ok=True)
        shutil.rmtree(self._root, ignore_errors=True)

    def model(self, name: str, fit: Callable[[], M], load: Callable[..., M]) -> M:
        """Return the model that an earlier run kept, or fit it, keep it and map it."""

        def make() -> None:
            fit().save(self.folder / name)

        return self.step(name, make, lambda: load(self.folder / name))

    def step(self, name: str, make: Callable[[], object], load: Callable[[], T]) -> T:
        """Return what `load` finds in the folder `name`; `make` writes it where no earlier run did so in full."""
        found = self.found(name, load)
        if found is not None:
            return found
        with self.making(name):
            make()
        return load()

    def found(self, name: str, load: Callable[[], T]) -> T | None:
        """Return what `load` finds where an earlier run finished the step, None where it did not or it is damaged."""
        if not self.kept(name):
            return None
        with suppress(BundleError):
            found = load()
            self.resumed.append(f"{self._part}/{name}".lstrip("/"))
            return found
        return None

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """Give the empty folder of a step, which is finished when the block ends without an error."""
        with files.translating(self.folder):
            self.drop(name)
            folder = self.folder / name
            folder.mkdir(parents=True)
            yield folder
            self.finish(name)

    def kept(self, name: str) -> bool:
        """Say whether an earlier run finished a step and its files are as they were."""
        try:
            done = msgspec.json.decode(self._marker(name).read_bytes(), type=Done)
            return all(
                (path := self.folder / file).stat().st_size == size and files.hashed(path) == digest
                for file, (size, digest) in done.files.items()
            )
        except (OSError, msgspec.DecodeError):
            return False

    def finish(self, name: str) -> None:
        """Mark a step as finished: from now on a run that was cut off takes over what stands in its folder."""
        listed = files.listed(self.folder / name)
        marker = self._marker(name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        done = Done({f"{name}/{file}": said for file, said in listed.items()})
        files.replace_file(marker, msgspec.json.encode(done))

    def drop(self, name: str) -> None:
        """Delete what a step left, finished or not."""
        self._marker(name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _marker(self, name: str) -> Path:
        return self._root / _DONE / f"{self._part}.{name.replace('/', '.')}.json"

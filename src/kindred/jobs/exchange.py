"""A backup's files in place of what stands in a data folder: all of them or none, also where the machine ends."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from kindred.core.files import sync, translating
from kindred.jobs.copies import DATA, BackupManifest, copy_files
from kindred.jobs.folder import REPLACED

_DRAFT = ".restoring"
_NEW = "new.json"
_KEPT = "kindred.toml"


@contextmanager
def exchanged(folder: Path, manifest: BackupManifest, home: Path, urls: Mapping[str, str]) -> Iterator[None]:
    """Put a backup's files in place for the block; they stay when it ends, and are taken back when it raises.

    `urls`: where the settings say that stores stand, by port: what is there goes, also where the backup has none of it.
    The settings file of the folder stays. No other process may use the folder. Raises StoreFull, StoreUnavailable.
    """
    draft, old = home / _DRAFT, home / REPLACED
    try:
        with translating(home):
            home.mkdir(parents=True, exist_ok=True)
            wanted = [name for name in manifest.files if name != _KEPT or not (home / _KEPT).exists()]
            copy_files([folder / DATA / name for name in wanted], folder / DATA, draft)
            new = sorted({PurePosixPath(name).parts[0] for name in wanted})
            _begin(home, new)
            for path in _taken(home, {*new, "lake", *_places(urls)} - {_KEPT}):
                path.rename(old / path.name)
            for name in new:
                (draft / name).rename(home / name)
            sync(home)
        yield
        with translating(home):
            old.rename(draft / REPLACED)
            sync(home)
    except BaseException:
        take_back(home)
        raise
    shutil.rmtree(draft, ignore_errors=True)


def take_back(home: Path) -> None:
    """Undo an exchange that did not end, however far it came; nothing happens where there is none."""
    draft, old = home / _DRAFT, home / REPLACED
    with translating(home):
        if (old / _NEW).exists():
            for name in msgspec.json.decode((old / _NEW).read_bytes(), type=list[str]):
                # Moved back and not deleted: it is there that tells what is new, should this be cut off too.
                if not (draft / name).exists():
                    (home / name).rename(draft / name)
            for path in sorted(old.iterdir()):
                if path.name != _NEW:
                    path.rename(home / path.name)
            sync(home)
            (old / _NEW).unlink()
        if old.exists():
            old.rmdir()
            sync(home)
        if draft.exists():
            shutil.rmtree(draft)


def _begin(home: Path, new: list[str]) -> None:
    """Note in one step that an exchange begins, and which entries it brings."""
    begun = home / _DRAFT / REPLACED
    begun.mkdir(parents=True)
    (begun / _NEW).write_bytes(msgspec.json.encode(new))
    sync(begun / _NEW)
    sync(begun)
    begun.rename(home / REPLACED)
    sync(home)


def _taken(home: Path, names: set[str]) -> list[Path]:
    """Return which entries of a data folder are replaced: beside each SQLite file stands its WAL."""
    beside = [(name, f"{name}-wal", f"{name}-shm") for name in names]
    return [home / each for names in beside for each in names if (home / each).exists()]


def _places(urls: Mapping[str, str]) -> set[str]:
    """Return the entries of a data folder that the stores of the settings have; leases are this process's too."""
    places = [PurePosixPath(url.partition(":")[2]) for port, url in urls.items() if port != "leases"]
    return {place.parts[0] for place in places if place.parts and not place.is_absolute()}

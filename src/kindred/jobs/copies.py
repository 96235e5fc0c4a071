"""A backup's folder: what stands in it, written once and checked before anything is taken out of it."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from kindred.core.errors import Conflict, InvalidInput
from kindred.core.files import sync, translating

MANIFEST = "backup.json"
VERSION = 1
DATA = "data"
_BLOCK = 1 << 20


class CopiedFile(msgspec.Struct, frozen=True):
    """A file of a backup: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds: written last, so that a folder without it is none.

    `stores`: the URL of each store that is in it, by port. `left_out`: why others are not. `folded`: where the state
    stands, `ends`: what the log holds at least, by partition. `files` by their path in the data folder.
    """

    version: int = VERSION
    created: int
    code_version: str
    stores: dict[str, str]
    left_out: dict[str, str] = {}
    folded: list[str] = []
    ends: list[str] = []
    files: dict[str, CopiedFile] = {}


def new_folder(folder: Path) -> Path:
    """Make a backup's folder and return where its files go; raise Conflict when something stands there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is not empty: name a new folder for the backup")
    with translating(folder):
        (folder / DATA).mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    return folder / DATA


def seal(folder: Path, manifest: BackupManifest) -> BackupManifest:
    """List all files with their hashes and write the manifest: now the backup exists."""
    data = folder / DATA
    with translating(folder):
        paths = sorted(path for path in data.rglob("*") if path.is_file())
        files = {path.relative_to(data).as_posix(): _described(path) for path in paths}
        sealed = msgspec.structs.replace(manifest, files=files)
        for path in (*paths, *sorted(path for path in data.rglob("*") if path.is_dir()), data):
            sync(path)
        draft = folder / f".{MANIFEST}"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(sealed), indent=2))
        sync(draft)
        draft.replace(folder / MANIFEST)
        sync(folder)
    return sealed


def read_backup(folder: Path) -> BackupManifest:
    """Read a backup's manifest and check all of its files; raise InvalidInput naming the first that is wrong."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=BackupManifest)
    except FileNotFoundError as error:
        raise InvalidInput(f"{folder} is no backup: {MANIFEST} is missing (was the backup cut off?)") from error
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInput(f"{folder / MANIFEST}: cannot be read: {error}") from error
    if manifest.version != VERSION:
        raise InvalidInput(f"{folder}: a backup of version {manifest.version}, which this release cannot read")
    for name, listed in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InvalidInput(f"{folder}: the manifest lists {name!r}, which lies outside")
        try:
            found = _described(folder / DATA / name)
        except OSError as error:
            raise InvalidInput(f"{folder / DATA / name}: cannot be read: {error.strerror or error}") from error
        if found != listed:
            raise InvalidInput(f"{folder / DATA / name}: its bytes are not those that the manifest lists")
    return manifest


def copy_files(paths: Iterable[Path], source: Path, target: Path) -> None:
    """Copy files below `source` to the same places below `target`, durably; raise StoreFull or StoreUnavailable."""
    with translating(target):
        for path in paths:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
            sync(place)


def _described(path: Path) -> CopiedFile:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return CopiedFile(size, digest.hexdigest())

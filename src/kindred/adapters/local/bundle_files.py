"""The files of one bundle: listed with their size and hash, and checked against that list."""

from pathlib import Path, PurePosixPath

import msgspec

from kindred.core import files
from kindred.core.bundle import SCHEMA, Manifest
from kindred.core.errors import BundleCorrupt, BundleMismatch

MANIFEST = "manifest.json"


class _Schema(msgspec.Struct):
    """The part of a manifest that says how to read the rest."""

    schema: str


def list_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return every file below `folder` but the manifest: name with `/`, size in bytes and xxh3-128 in hex."""
    return {name: file for name, file in files.listed(folder).items() if name != MANIFEST}


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest; raise BundleCorrupt, or BundleMismatch for a bundle of another schema."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema != SCHEMA:
            raise BundleMismatch(f"{folder}: made for schema {schema!r}, this release reads {SCHEMA!r}: train anew")
        return msgspec.json.decode(data, type=Manifest)
    except FileNotFoundError as error:
        raise BundleCorrupt(f"{path}: is missing") from error
    except (OSError, msgspec.DecodeError) as error:
        raise BundleCorrupt(f"{path}: {error}") from error


def check_files(folder: Path, manifest: Manifest, *, hashes: bool) -> None:
    """See that every listed file is there with its size (and its hash); raise BundleCorrupt naming the first fault."""
    for name, (size, digest) in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BundleCorrupt(f"{folder}: the manifest lists {name!r}, which lies outside")
        path = folder / name
        try:
            found = path.stat().st_size
            if found != size:
                raise BundleCorrupt(f"{path}: has {found} bytes, the manifest says {size}")
            if hashes and files.hashed(path) != digest:
                raise BundleCorrupt(f"{path}: its bytes are not those that the manifest lists")
        except FileNotFoundError as error:
            raise BundleCorrupt(f"{path}: is missing") from error
        except OSError as error:
            raise BundleCorrupt(f"{path}: cannot be read: {error.strerror or error}") from error

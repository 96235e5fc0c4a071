"""The lake: imported rows as Parquet, one folder per import, seen whole or not at all."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl

from kindred.core.errors import StoreUnavailable
from kindred.core.files import sync, translating
from kindred.ingest.fold_columns import FOLD_FOLDER, FoldColumns, import_folder
from kindred.ingest.importing.row_ids import ROW_ID

LAKE_COLUMNS = (
    "row_id", "user_id", "item_id", "ordinal", "event_type", "timestamp", "value", "quantity", "session", "ingested_at",
)  # fmt: skip
_PART = re.compile(r"^part-(\d{3})-(\d{3})\.parquet$")
_MANIFEST = "manifest.json"
_ROWS = "rows"


class ImportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `lake/imports/<import_id>/manifest.json`; times are ms, `position` is that of the log's marker.

    `shift` (ms) was added to the times of the rows; later imports of the same source add the same.
    """

    import_id: str
    source: str
    created: int
    shift: int = 0
    interactions: int = 0
    items: int = 0
    users: int = 0
    first: int | None = None
    last: int | None = None
    position: str | None = None


class Lake:
    """The folders of all imports below one folder.

    `staging/<id>/` is work in progress and may be deleted; `imports/<id>/` (a rename of it: the moment at which the
    import exists) holds the manifest and the fold columns; `interactions/source=<name>/import=<id>/` the rows.
    """

    def __init__(self, folder: Path) -> None:
        """Work below `folder`."""
        self.folder = folder

    def manifests(self, source: str | None = None) -> list[ImportManifest]:
        """Return the manifests of committed imports, oldest first."""
        found = [_read_manifest(path) for path in (self.folder / "imports").glob(f"*/{_MANIFEST}")]
        chosen = [manifest for manifest in found if source in (None, manifest.source)]
        return sorted(chosen, key=lambda manifest: (manifest.created, manifest.import_id))

    def rows_folder(self, manifest: ImportManifest) -> Path:
        """Return where the rows of a committed import stand."""
        return self.folder / "interactions" / f"source={manifest.source}" / f"import={manifest.import_id}"

    def known_row_ids(self, source: str, first: int, last: int) -> pl.DataFrame:
        """Return the row ids of a source for users of the buckets `first` to `last` (excluded), maybe more."""
        paths = []
        for path in sorted((self.folder / "interactions" / f"source={source}").glob("import=*/part-*.parquet")):
            named = _PART.match(path.name)
            if named is None or (int(named[1]) < last and int(named[2]) > first):
                paths.append(path)
        if not paths:
            return pl.DataFrame(schema={ROW_ID: pl.Binary})
        return pl.read_parquet(paths, columns=[ROW_ID], hive_partitioning=False)

    def clear_staging(self) -> None:
        """Delete what imports that ended half-way left; only for the holder of the import lease."""
        shutil.rmtree(self.folder / "staging", ignore_errors=True)

    def stage(self, import_id: str) -> "Staged":
        """Make an empty folder to work in."""
        return Staged(self.folder / "staging" / import_id)

    def commit(self, staged: "Staged", manifest: ImportManifest) -> None:
        """Make a staged import exist, by one rename after all its files were synced."""
        with translating(self.folder):
            shutil.rmtree(staged.spill_folder, ignore_errors=True)
            _write_manifest(staged.folder / _MANIFEST, manifest)
            _sync_tree(staged.folder)
            target = import_folder(self.folder, manifest.import_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.folder.rename(target)
            sync(target.parent)

    def publish_rows(self, manifest: ImportManifest) -> None:
        """Move the rows of a committed import to where readers look for them; again is harmless."""
        with translating(self.folder):
            target = self.rows_folder(manifest)
            target.parent.mkdir(parents=True, exist_ok=True)
            moved = import_folder(self.folder, manifest.import_id) / _ROWS
            if moved.exists():
                moved.rename(target)
            sync(target.parent)

    def close(self, manifest: ImportManifest, position: str) -> ImportManifest:
        """Write down where the import's marker stands in the log: nothing is left to be done."""
        done = msgspec.structs.replace(manifest, position=position)
        with translating(self.folder):
            folder = import_folder(self.folder, manifest.import_id)
            _write_manifest(folder / f"{_MANIFEST}.new", done)
            (folder / f"{_MANIFEST}.new").rename(folder / _MANIFEST)
            sync(folder)
        return done

    def parts(self, manifest: ImportManifest) -> Iterator[pl.DataFrame]:
        """Go through the rows of a published import, part by part."""
        for path in sorted(self.rows_folder(manifest).glob("part-*.parquet")):
            yield pl.read_parquet(path, hive_partitioning=False)


class Staged:
    """An import that is being written."""

    def __init__(self, folder: Path) -> None:
        """Make the folders."""
        self.folder = folder
        self._parts = 0
        with translating(folder):
            (folder / _ROWS).mkdir(parents=True)
            (folder / FOLD_FOLDER).mkdir()

    @property
    def spill_folder(self) -> Path:
        """Return where rows wait between the steps; it is gone when the import is committed."""
        return self.folder / "spill"

    def write(self, rows: pl.DataFrame, fold: FoldColumns, first: int, last: int) -> None:
        """Write one part: rows for the lake (users of buckets `first` to `last`, excluded) and for the consumer."""
        with translating(self.folder):
            if len(rows):
                path = self.folder / _ROWS / f"part-{first:03d}-{last:03d}.parquet"
                rows.select(LAKE_COLUMNS).write_parquet(path, compression="zstd", compression_level=1)
            if fold.users:
                fold.save(self.folder / FOLD_FOLDER / f"part-{self._parts:05d}.npz")
                self._parts += 1

    def discard(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read_manifest(path: Path) -> ImportManifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ImportManifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreUnavailable(f"{path}: the manifest of an import cannot be read: {error}") from error


def _write_manifest(path: Path, manifest: ImportManifest) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    sync(path)


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        sync(path)

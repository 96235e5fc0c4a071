"""Writing files of the lake: each whole or absent, and one manifest replaced at the end of a step."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl
import pyarrow.parquet as pq

from kindred.core.clock import HOUR
from kindred.core.errors import StoreUnavailable
from kindred.core.files import sync, translating
from kindred.training.lake_events import CONTROLS, MANIFEST, LakeEvents, LakeFile, LakeManifest


class LakeFolder(LakeEvents):
    """The one writer's view of a lake's events; for the holder of the lake's lease."""

    def clear(self, manifest: LakeManifest) -> int:
        """Delete files that no manifest names: what a step that was cut off left. Return how many.

        Raises StoreUnavailable when files stand there but no manifest does: they would all go.
        """
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.glob("date=*/hour=*/*")}
        if found and not (self.folder / MANIFEST).exists() and any(path.endswith(".parquet") for path in found):
            kept = [path for path in found if path.endswith(".parquet")]
            if not self._first_step(kept):
                raise StoreUnavailable(
                    f"{self.folder / MANIFEST} is missing beside {len(kept)} files: restore it from a backup"
                )
        known = {file.path for file in manifest.files} | set(manifest.retired)
        orphans = sorted(found - known)
        with translating(self.folder):
            for path in orphans:
                (self.folder / path).unlink(missing_ok=True)
        return len(orphans)

    def _first_step(self, paths: Sequence[str]) -> bool:
        """Say whether files are what the very first step left, which begins before there is a manifest."""
        marker = self.folder / "first-step"
        return marker.exists() and bool(paths)

    def begin(self) -> None:
        """Note that the first step begins, so that what it leaves when cut off may be deleted."""
        if not (self.folder / MANIFEST).exists():
            with translating(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / "first-step").touch()
                sync(self.folder)

    def write(self, rows: pl.DataFrame, generation: int = 0) -> LakeFile:
        """Write rows of one epoch, partition and hour as one durable file that no reader sees yet."""
        return self.write_all([rows], generation)

    def write_all(self, frames: Iterable[pl.DataFrame], generation: int = 0, suffix: str = "") -> LakeFile:
        """Write frames, of one epoch, partition and hour and in order, one after the other into one durable file."""
        draft = self.folder / f".draft-{os.getpid()}{suffix}.parquet"
        described: LakeFile | None = None
        with translating(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            writer: pq.ParquetWriter | None = None
            try:
                for frame in frames:
                    table = frame.to_arrow()
                    writer = writer or pq.ParquetWriter(draft, table.schema, compression="zstd", compression_level=1)
                    writer.write_table(table.cast(writer.schema), row_group_size=65_536)
                    described = _described(frame, described, generation)
            finally:
                if writer is not None:
                    writer.close()
            if described is None:
                raise StoreUnavailable(f"{self.folder}: nothing to write")
            self._publish(draft, self.folder / described.path)
        return described

    def _publish(self, draft: Path, target: Path) -> None:
        sync(draft)
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            for folder in (target.parent.parent, self.folder):
                sync(folder)
        draft.replace(target)
        sync(target.parent)

    def commit(self, manifest: LakeManifest) -> None:
        """Replace the manifest: the moment at which a step happens."""
        path = self.folder / MANIFEST
        draft = path.with_name(f".{MANIFEST}.{os.getpid()}")
        with translating(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(manifest))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync(self.folder)
            (self.folder / "first-step").unlink(missing_ok=True)

    def drop_retired(self, manifest: LakeManifest, before: int) -> LakeManifest:
        """Delete files that were retired before a time (ms); return the manifest without them, not yet committed."""
        gone = [path for path, when in manifest.retired.items() if when < before]
        with translating(self.folder):
            for path in gone:
                (self.folder / path).unlink(missing_ok=True)
        kept = {path: when for path, when in manifest.retired.items() if path not in gone}
        return msgspec.structs.replace(manifest, retired=kept)


def by_hour(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Split rows of one partition by epoch and hour of arrival."""
    hour = (pl.col("ingested_at").dt.timestamp("ms") // HOUR).fill_null(0).alias("hour")
    for _, part in rows.with_columns(hour).group_by("epoch", "hour", maintain_order=True):
        yield part.drop("hour")


def _described(rows: pl.DataFrame, before: LakeFile | None, generation: int) -> LakeFile:
    """Describe rows that follow those of `before` in one file."""
    epoch, partition, first = rows.row(0)[:3] if before is None else (before.epoch, before.partition, before.first)
    last = int(rows["offset"][-1])
    arrived = rows["ingested_at"].dt.timestamp("ms")[0]
    hour = (arrived or 0) // HOUR if before is None else before.hour
    moment = pl.Series([hour * HOUR]).cast(pl.Datetime("ms"))[0]
    ending = f".{generation}.parquet" if generation else ".parquet"
    path = f"date={moment:%Y-%m-%d}/hour={moment:%H}/{epoch}-{partition}-{first}-{last}{ending}"
    controls = int(rows["kind"].is_in(CONTROLS).sum())
    erasures = int(((rows["kind"] == "erased") & rows["user_id"].is_not_null()).sum())
    return LakeFile(
        path=path,
        epoch=epoch,
        partition=partition,
        first=first,
        last=last,
        rows=len(rows) + (before.rows if before else 0),
        hour=hour,
        compacted=generation > 0,
        controls=controls + (before.controls if before else 0),
        erasures=erasures + (before.erasures if before else 0),
    )

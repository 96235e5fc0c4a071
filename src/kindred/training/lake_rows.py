"""Interactions as training reads them: what imports brought, and what was tracked, from lake files or log records."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from kindred.core.position import Position
from kindred.ingest.importing.lake import ImportManifest, Lake
from kindred.training.controls import Controls
from kindred.training.lake_events import LakeEvents, LakeManifest
from kindred.training.row_contexts import COLUMNS

SCHEMA = {
    "user_id": pl.String,
    "ordinal": pl.Int32,
    "event_type": pl.String,
    "timestamp": pl.Int64,
    "value": pl.Float32,
    "slot": pl.Int16,
    **COLUMNS,
}
# Where and when a row arrived, by which erasures and removals find it, and what tells repeats; null key: no repeat.
PLACED = {"epoch": pl.Int64, "partition": pl.Int32, "offset": pl.Int64, "arrived": pl.Int64, "key": pl.UInt64}

_LAST_SLOT = 2**15 - 1

EVENT_COLUMNS = (
    "epoch", "partition", "offset", "event_id", "kind", "user_id", "item_id", "event_type", "timestamp", "ingested_at",
    "value", "request_id", "placement", "slot", "device", "country",
)  # fmt: skip


def import_rows(folder: Path, controls: Controls, since: Sequence[Position] = ()) -> Iterator[pl.DataFrame]:
    """Go through the rows of finished imports that nobody asked to forget, as columns of `SCHEMA` and `PLACED`.

    An import stands where its marker does (else where its manifest says); those at or before `since` are left out.
    """
    lake = Lake(folder)
    for manifest in lake.manifests():
        if manifest.position is None:
            continue
        place, arrived = _marker(manifest, controls)
        if any(one.partition == place.partition and place <= one for one in since):
            continue
        for part in lake.parts(manifest):
            frame = part.filter(pl.col("user_id").is_not_null())
            # Slates of another system were not filled by draws that are known here, so their slots teach nothing.
            # The lake keeps of imported rows who did what, when: not where.
            frame = frame.with_columns(pl.lit(-1).alias("slot"), *(pl.lit(None).alias(name) for name in COLUMNS))
            frame = frame.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
            frame = frame.with_columns(pl.col("timestamp").fill_null(-1), pl.col("value").fill_null(float("nan")))
            frame = frame.with_columns(
                *(
                    pl.lit(value, PLACED[name]).alias(name)
                    for name, value in zip(PLACED, (*place, arrived), strict=False)
                ),
                pl.lit(None, pl.UInt64).alias("key"),
            )
            yield _known(controls.unerased(frame), controls)


def tracked_rows(events: pl.DataFrame, controls: Controls) -> pl.DataFrame:
    """Return the interactions of event columns, anonymous users under the names they are known by since.

    Columns: those of `SCHEMA` with `item_id` in place of `ordinal`, and `PLACED`.
    """
    rows = events.filter((pl.col("kind") == "interaction") & pl.col("item_id").is_not_null())
    rows = controls.unerased(rows.with_columns(pl.col("ingested_at").dt.timestamp("ms").alias("arrived")))
    return _known(rows, controls).select(
        "user_id",
        "item_id",
        "event_type",
        pl.col("timestamp").dt.timestamp("ms"),
        pl.col("value").cast(pl.Float32).fill_null(float("nan")),
        pl.col("slot").clip(-1, _LAST_SLOT).fill_null(-1).cast(pl.Int16),
        *COLUMNS,
        "epoch",
        "partition",
        "offset",
        "arrived",
        pl.struct("user_id", "event_id").hash().alias("key"),
    )


def _known(rows: pl.DataFrame, controls: Controls) -> pl.DataFrame:
    """Put rows of merged people under the names they are known by since."""
    return rows.with_columns(pl.col("user_id").replace(controls.aliases)) if controls.aliases else rows


def lake_frames(
    lake: LakeEvents, manifest: LakeManifest, controls: Controls, since: Sequence[Position] = ()
) -> Iterator[pl.DataFrame]:
    """Go through the interactions of the lake's files that stand behind `since`, file by file, in order."""
    reached = {one.partition: one for one in since}
    for file in manifest.ordered():
        after = reached.get(file.partition)
        if after is not None and (file.epoch, file.last) <= (after.epoch, after.offset):
            continue
        rows = tracked_rows(lake.read(file, EVENT_COLUMNS), controls)
        yield rows if after is None else behind(rows, after)


def behind(rows: pl.DataFrame, after: Position) -> pl.DataFrame:
    """Leave out rows of the partition of `after` that do not stand behind it."""
    older = (pl.col("epoch") < after.epoch) | ((pl.col("epoch") == after.epoch) & (pl.col("offset") <= after.offset))
    return rows.filter(~((pl.col("partition") == after.partition) & older))


def _marker(manifest: ImportManifest, controls: Controls) -> tuple[Position, int]:
    """Return where an import stands in the log, and when it came there."""
    found = controls.markers.get(manifest.import_id)
    return found or (Position.parse(manifest.position or "0.0.-1"), manifest.created)

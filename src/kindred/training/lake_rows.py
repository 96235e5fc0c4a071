"""The lake's interactions: what imports brought."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from kindred.core.position import Position
from kindred.ingest.importing.lake import ImportManifest, Lake

SCHEMA = {
    "user_id": pl.String,
    "ordinal": pl.Int32,
    "event_type": pl.String,
    "timestamp": pl.Int64,
    "value": pl.Float32,
}


def lake_rows(folder: Path, erased: Mapping[str, Position], markers: Mapping[str, Position]) -> Iterator[pl.DataFrame]:
    """Go through the rows of finished imports, part by part, as columns of `SCHEMA`.

    Rows of a user in `erased` are left out when their import's marker (`markers`, else as its manifest says) stands at
    or before the erasure.
    """
    lake = Lake(folder)
    for manifest in lake.manifests():
        if manifest.position is None:
            continue
        marker = _marker(manifest, markers)
        gone = [user for user, position in erased.items() if marker <= position]
        for part in lake.parts(manifest):
            frame = part.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
            frame = frame.with_columns(pl.col("timestamp").fill_null(-1), pl.col("value").fill_null(float("nan")))
            yield frame.filter(~pl.col("user_id").is_in(gone)) if gone else frame


def _marker(manifest: ImportManifest, markers: Mapping[str, Position]) -> Position:
    """Return where an import stands in the log."""
    return markers.get(manifest.import_id) or Position.parse(manifest.position or "0.0.-1")

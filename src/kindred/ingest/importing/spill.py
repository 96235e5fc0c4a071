"""Rows parted by user onto disk, so that an import of any size is worked on a part at a time."""

from pathlib import Path

import polars as pl
import pyarrow as pa

from kindred.core.errors import StoreUnavailable
from kindred.ingest.importing.row_ids import BUCKETS, user_buckets

ROWS_PER_PART = 250_000
_BUCKET = "__bucket"


class Spill:
    """Arrow stream files, one for each range of user buckets; the rows of a user stand in one file, in their order.

    One file holds about 250,000 rows (more beyond 64 million rows in all): that is what later steps keep in memory.
    """

    def __init__(self, folder: Path, expected_rows: int) -> None:
        """Write below `folder`; `expected_rows` decides the number of parts."""
        parts = max(1, min(BUCKETS, -(-expected_rows // ROWS_PER_PART)))
        self._edges = [round(part * BUCKETS / parts) for part in range(parts + 1)]
        self._folder = folder
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Return the buckets (first, last excluded) of each part."""
        return list(zip(self._edges, self._edges[1:], strict=False))

    def add(self, rows: pl.DataFrame) -> None:
        """Append rows that have a column `user_id`; raise StoreUnavailable when the disk refuses."""
        if not len(rows):
            return
        inner = pl.Series(self._edges[1:-1], dtype=pl.Int64)
        buckets = user_buckets(rows["user_id"]).cast(pl.Int64)
        part = inner.search_sorted(buckets, side="right") if len(inner) else buckets * 0
        self._append(rows, part)

    def _append(self, rows: pl.DataFrame, part: pl.Series) -> None:
        """Append each part's rows to its file."""
        try:
            for (number,), chosen in rows.with_columns(part.alias(_BUCKET)).group_by(_BUCKET, maintain_order=True):
                table = chosen.drop(_BUCKET).to_arrow()
                writer = self._writers.get(int(str(number)))
                if writer is None:
                    writer = pa.ipc.new_stream(str(self._path(int(str(number)))), table.schema)
                    self._writers[int(str(number))] = writer
                writer.write_table(table)
        except OSError as error:
            raise StoreUnavailable(f"{self._folder}: the import cannot write its parts: {error}") from error

    def close(self) -> None:
        """End all files, so that they can be read."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def read(self, part: int) -> pl.DataFrame | None:
        """Return a part's rows in the order they were added, or None when it has none."""
        path = self._path(part)
        if not path.exists():
            return None
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return pl.DataFrame(pl.from_arrow(stream.read_all()))

    def drop(self, part: int) -> None:
        """Delete a part."""
        self._path(part).unlink(missing_ok=True)

    def _path(self, part: int) -> Path:
        return self._folder / f"part-{part:03d}.arrow"

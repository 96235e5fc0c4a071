"""Reading a table's files one behind the other, saying how far it is."""

from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from kindred.core.errors import InvalidInput
from kindred.ingest.importing.mapping import Table
from kindred.ingest.importing.options import Reporter
from kindred.ingest.importing.readers import RawBatch, SourceFile, find_files, read_file
from kindred.ingest.importing.rejects import Rejects

_BYTES_PER_ROW = 25
_GZIP_RATIO = 4


def read_table(
    table: Table, base: Path, name: str, needed: Collection[str], rejects: Rejects, tell: Reporter
) -> Iterator[RawBatch]:
    """Read all files of a table; raise ConfigError or InvalidInput as `find_files` and `read_file` do."""
    files = find_files(table, base, name)
    sizes = [max(file.path.stat().st_size, 1) for file in files]
    done, rows = 0, 0
    for file, size in zip(files, sizes, strict=True):
        for batch in read_file(file, table, needed, rejects, name):
            rows += len(batch.frame)
            yield _guarded(batch)
            tell.tell(name, rows, (done + size * batch.fraction) / sum(sizes))
        done += size


def expected_rows(table: Table, base: Path, name: str) -> int:
    """Guess how many rows a table has: from Parquet's own count, else from the size of its files."""
    return sum(_expected(file) for file in find_files(table, base, name))


def _expected(file: SourceFile) -> int:
    if file.format == "parquet":
        try:
            return int(pq.read_metadata(file.path).num_rows)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{file.name}: not a readable Parquet file: {error}; was it copied whole?") from error
    packed = _GZIP_RATIO if file.path.suffix == ".gz" else 1
    return file.path.stat().st_size * packed // _BYTES_PER_ROW


def _guarded(batch: RawBatch) -> RawBatch:
    """Turn dictionary-encoded texts into plain ones, which all later steps expect."""
    encoded = [name for name, dtype in batch.frame.schema.items() if dtype in (pl.Categorical, pl.Enum)]
    return RawBatch(batch.frame.with_columns(pl.col(encoded).cast(pl.String)), batch.file, batch.fraction)

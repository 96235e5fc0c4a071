"""Reading CSV, JSON lines and Parquet in batches of raw rows with their line numbers."""

import gzip
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import IO, Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kindred.core.config import unknown_key
from kindred.core.errors import ConfigError, InvalidInput
from kindred.ingest.importing.csv_reader import CsvReader
from kindred.ingest.importing.mapping import Table
from kindred.ingest.importing.rejects import LINE, Rejects

BATCH_ROWS = 100_000
_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_DAMAGED = (OSError, EOFError, zlib.error, UnicodeError)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read and its format."""

    path: Path
    format: str

    @property
    def name(self) -> str:
        """Return the file's name as reports show it."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as they stand in a file, with the column `__line`; `fraction` of the file that has been read so far."""

    frame: pl.DataFrame
    file: str
    fraction: float


def find_files(table: Table, base: Path, where: str) -> list[SourceFile]:
    """List the files of a table in order of name; raise ConfigError when there is none or its format is unknown."""
    target = base / table.path
    if target.is_dir():
        found = sorted(path for path in target.iterdir() if path.is_file() and not path.name.startswith((".", "_")))
        found = [path for path in found if table.format != "auto" or _format(path)]
    elif target.is_file():
        found = [target]
    else:
        found = sorted(Path(name) for name in glob(str(target)) if Path(name).is_file())
    if not found:
        raise ConfigError(f"{where}.path: nothing to read at {target}; check the path, or name the data folder")
    files = []
    for path in found:
        kind = table.format if table.format != "auto" else _format(path)
        if kind is None:
            raise ConfigError(f"{where}.path: {path} has no known ending; set {where}.format to csv, jsonl or parquet")
        files.append(SourceFile(path, kind))
    return files


def _format(path: Path) -> str | None:
    """Return the format that a file's ending stands for, or None."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    return _FORMATS.get(plain.suffix.lower())


def read_file(
    file: SourceFile, table: Table, needed: Collection[str], rejects: Rejects, where: str
) -> Iterator[RawBatch]:
    """Read a file in batches of the `needed` columns; rows that are no rows go to `rejects`.

    Raises ConfigError when a needed column is not there, InvalidInput when the file is damaged as a whole.
    """
    try:
        if file.format == "parquet":
            yield from _read_parquet(file, needed, where)
        elif file.format == "csv":
            yield from _read_csv(file, table, needed, rejects, where)
        else:
            yield from _read_jsonl(file, needed, rejects)
    except _DAMAGED as error:
        hint = "is it whole and of that format?"
        raise InvalidInput(f"{file.name}: cannot be read as {file.format}: {error}; {hint}") from error


def _read_parquet(file: SourceFile, needed: Collection[str], where: str) -> Iterator[RawBatch]:
    """Read the needed columns of a Parquet file."""
    try:
        with pq.ParquetFile(file.path) as parquet:
            _check_columns(needed, parquet.schema_arrow.names, file, where)
            total, line = max(parquet.metadata.num_rows, 1), 1
            for part in parquet.iter_batches(BATCH_ROWS, columns=sorted(needed)):
                frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([part])))
                lines = pl.int_range(line, line + len(frame), dtype=pl.Int64, eager=True).alias(LINE)
                line += len(frame)
                yield RawBatch(frame.with_columns(lines), file.name, (line - 1) / total)
    except pa.ArrowException as error:
        raise InvalidInput(f"{file.name}: not a readable Parquet file: {error}; was it copied whole?") from error


def _read_csv(
    file: SourceFile, table: Table, needed: Collection[str], rejects: Rejects, where: str
) -> Iterator[RawBatch]:
    """Read a CSV file with a header, all columns as text, an empty field as missing."""
    with _Stream(file.path) as raw:
        reader = CsvReader(raw.stream, file.name, _delimiter(file, table), table.encoding, rejects, where)
        _check_columns(needed, reader.header, file, where)
        for frame in reader.frames(sorted(needed)):
            yield RawBatch(frame, file.name, raw.fraction())


def _delimiter(file: SourceFile, table: Table) -> str:
    """Return the tab for `.tsv` files unless the mapping says otherwise."""
    plain = file.path.with_suffix("") if file.path.suffix == ".gz" else file.path
    return "\t" if plain.suffix.lower() == ".tsv" and table.delimiter == "," else table.delimiter


def _read_jsonl(file: SourceFile, needed: Collection[str], rejects: Rejects) -> Iterator[RawBatch]:
    """Read JSON lines; a field that a row lacks is missing there."""
    with _Stream(file.path) as raw:
        for chunk in _chunks(_objects(raw.stream, file, rejects)):
            data = {name: _typed([row.get(name) for _, row in chunk]) for name in sorted(needed)}
            lines = pl.Series([line for line, _ in chunk], dtype=pl.Int64)
            yield RawBatch(pl.DataFrame({**data, LINE: lines}), file.name, raw.fraction())


def _objects(stream: IO[bytes], file: SourceFile, rejects: Rejects) -> Iterator[tuple[int, dict[str, Any]]]:
    """Decode each line as a JSON object."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            yield number, decoder.decode(line.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            rejects.add(file.name, number, "malformed row", f"not a JSON object: {error}", ascii(line[:1000]))


def _typed(values: list[Any]) -> pl.Series:
    """Make a column of JSON values: of their own type where they share one, else of texts or lists of texts."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(values, dtype=pl.String)
    if kinds == {list}:
        return pl.Series([None if v is None else [_text(e) for e in v] for v in values], dtype=pl.List(pl.String))
    if len(kinds) == 1 and kinds <= {int, float, bool, str} and _fits(values, kinds):
        return pl.Series(values, strict=True)
    return pl.Series([None if value is None else _text(value) for value in values], dtype=pl.String)


def _fits(values: list[Any], kinds: set[type]) -> bool:
    """Say whether integers fit 64 bits."""
    return kinds != {int} or all(value is None or -(2**63) <= value < 2**63 for value in values)


def _text(value: Any) -> str:
    """Write a JSON value as text, a string as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _check_columns(needed: Collection[str], present: Sequence[str], file: SourceFile, where: str) -> None:
    """Raise ConfigError naming a column that the mapping reads and the file lacks."""
    for name in sorted(needed):
        if name not in present:
            raise ConfigError(f"{where}: no column `{name}` in {file.name}: {unknown_key(name, present)}")


def _chunks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Gather rows into lists of `BATCH_ROWS`."""
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == BATCH_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Stream:
    """A binary stream of a plain or gzipped file that knows how much of the file it has read."""

    def __init__(self, path: Path) -> None:
        """Open the file; raise InvalidInput when it cannot be."""
        self._size = max(path.stat().st_size, 1)
        self._raw = path.open("rb")
        self.stream: Any = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw

    def fraction(self) -> float:
        """Return the share of the file that has been read."""
        return min(self._raw.tell() / self._size, 1.0)

    def __enter__(self) -> "_Stream":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._raw.close()

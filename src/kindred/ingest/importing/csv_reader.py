"""CSV in blocks: plain blocks are cut by columns at once, blocks with quotes are parsed row by row."""

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from kindred.core.errors import ConfigError
from kindred.ingest.importing.rejects import LINE, Rejects

BLOCK_BYTES = 4 << 20
_REASON = "malformed row"
Row = tuple[int, list[str]]


class CsvReader:
    """Reads a CSV stream with a header in frames of text columns with their lines; empty fields are missing.

    Rows with another number of fields than the header, unreadable bytes or broken quotes are rejected by line; blank
    lines are no rows.
    """

    def __init__(self, stream: Any, file: str, delimiter: str, encoding: str, rejects: Rejects, where: str) -> None:
        """Read the header; raise ConfigError (naming `where`) when the encoding is unknown."""
        try:
            codec = codecs.lookup(encoding).name
        except LookupError as error:
            raise ConfigError(f"{where}.encoding: {encoding!r} is not an encoding") from error
        # Lines are cut at bytes, which wide encodings do not allow.
        wide = codec.startswith(("utf-16", "utf-32"))
        self._stream = codecs.EncodedFile(stream, "utf-8", codec) if wide else stream
        self._encoding = "utf-8" if wide else codec
        self._file, self._delimiter, self._rejects = file, delimiter, rejects
        self._line = 0
        rows = self._parse(self._stream.readline().removeprefix(codecs.BOM_UTF8))
        self.header = rows[0][1] if rows else []

    def frames(self, needed: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Give the needed columns of each block's good rows."""
        while block := self._block():
            frame = self._cut(block, needed)
            if frame is None:
                frame = self._assemble(self._parse(block), needed, damaged=not self._readable(block))
            if len(frame):
                yield frame.with_columns(pl.col(pl.String).replace("", None))

    def _block(self) -> bytes:
        """Return the next whole lines."""
        data: bytes = self._stream.read(BLOCK_BYTES)
        return data if not data or data.endswith(b"\n") else data + self._stream.readline()

    def _readable(self, block: bytes) -> bool:
        """Say whether a block is text in its encoding."""
        try:
            block.decode(self._encoding)
        except UnicodeDecodeError:
            return False
        return True

    def _cut(self, block: bytes, needed: Sequence[str]) -> pl.DataFrame | None:
        """Cut a block without quotes at its delimiters; None when it needs the parser."""
        if b'"' in block or not self._readable(block):
            return None
        text = block.decode(self._encoding).replace("\r\n", "\n").removesuffix("\n")
        if "\r" in text:
            return None
        lines = pl.DataFrame({"text": text.split("\n")}, schema={"text": pl.String})
        numbers = pl.int_range(self._line + 1, self._line + 1 + len(lines), dtype=pl.Int64, eager=True)
        lines = lines.with_columns(numbers.alias(LINE)).filter(pl.col("text") != "")
        self._line += len(numbers)
        parted = lines["text"].str.count_matches(self._delimiter, literal=True) == len(self.header) - 1
        for line, row in lines.filter(~parted).select(LINE, "text").iter_rows():
            self._reject_width(line, row.split(self._delimiter))
        whole = lines.filter(parted)
        fields = whole["text"].str.split_exact(self._delimiter, len(self.header) - 1).struct.unnest()
        columns = {name: fields.to_series(self.header.index(name)) for name in needed}
        return pl.DataFrame({**columns, LINE: whole[LINE]})

    def _parse(self, block: bytes) -> list[Row]:
        """Parse the rows that begin in a block, reading on where the last one goes on behind it."""
        lines = block.splitlines(keepends=True)
        reader = csv.reader(self._texts(lines), delimiter=self._delimiter, strict=True)
        before, rows = self._line, []
        while reader.line_num < len(lines):
            start = before + reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                end = before + reader.line_num
                detail = f"{error}; lines {start} to {end} were left out: check their quotes"
                self._rejects.add(self._file, start, _REASON, detail)
                continue
            if row:
                rows.append((start, row))
        self._line = before + reader.line_num
        return rows

    def _texts(self, lines: Sequence[bytes]) -> Iterator[str]:
        """Decode lines, then those behind them in the stream; unreadable bytes stay recognisable."""
        for line in lines:
            yield line.decode(self._encoding, "surrogateescape")
        readline: Callable[[], bytes] = self._stream.readline
        while line := readline():
            yield line.decode(self._encoding, "surrogateescape")

    def _assemble(self, rows: Sequence[Row], needed: Sequence[str], damaged: bool) -> pl.DataFrame:
        """Make a frame of rows, the bad ones rejected; `damaged` blocks are searched for unreadable bytes."""
        width, good = len(self.header), []
        for line, row in rows:
            if len(row) != width:
                self._reject_width(line, row)
            elif damaged and _unreadable(row):
                self._rejects.add(self._file, line, _REASON, "is not text in the file's encoding", ascii(row))
            else:
                good.append((line, row))
        data = {}
        for name in needed:
            index = self.header.index(name)
            data[name] = pl.Series([row[index] for _, row in good], dtype=pl.String)
        return pl.DataFrame({**data, LINE: pl.Series([line for line, _ in good], dtype=pl.Int64)})

    def _reject_width(self, line: int, row: list[str]) -> None:
        detail = f"has {len(row)} fields, the header has {len(self.header)}"
        self._rejects.add(self._file, line, _REASON, detail, ascii(row) if _unreadable(row) else row)


def _unreadable(row: Sequence[str]) -> bool:
    """Say whether a row holds bytes that its encoding could not read."""
    return any("\udc80" <= character <= "\udcff" for field in row if not field.isascii() for character in field)

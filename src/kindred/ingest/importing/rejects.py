"""Bad rows: kept in a file, counted by reason, never silently lost."""

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import msgspec
import polars as pl

from kindred.core.errors import InvalidInput, StoreUnavailable

LINE = "__line"
"""Name of the column that carries a row's line (CSV, JSONL) or number (Parquet), from 1."""


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """One bad row as it stands in the reject file; `line` is a row number where the file is Parquet."""

    file: str
    line: int
    reason: str
    detail: str
    row: Any = None


class Rejects:
    """The reject file (JSON lines, made at the first bad row) and the counts by reason.

    `strict` raises InvalidInput at the first bad row instead. The file holds every bad row, so its size is theirs.
    """

    def __init__(self, path: Path, strict: bool = False) -> None:
        """Write to `path`, replacing what an earlier run left there."""
        self.path = path
        self.counts: Counter[str] = Counter()
        self._strict = strict
        self._file: TextIO | None = None

    @property
    def total(self) -> int:
        """Return how many bad rows there were."""
        return sum(self.counts.values())

    def add(self, file: str, line: int, reason: str, detail: str, row: Any = None) -> None:
        """Keep one bad row; `reason` is what is counted, `detail` the sentence that says what to mend."""
        if self._strict:
            raise InvalidInput(f"{file}, line {line}: {reason}: {detail}")
        self.counts[reason] += 1
        self._write(_line(Reject(file=file, line=line, reason=reason, detail=detail, row=row)))

    def _write(self, line: str) -> None:
        """Append a line to the file, made at the first one; raise StoreUnavailable when it cannot be written."""
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(line + "\n")
        except OSError as error:
            raise StoreUnavailable(f"{self.path}: the reject file cannot be written: {error.strerror}") from error

    def add_rows(self, frame: pl.DataFrame, file: str, reason: str, detail: str) -> None:
        """Keep all rows of a frame as it was read."""
        for row in frame.iter_rows(named=True):
            line = row.pop(LINE)
            self.add(file, line, reason, detail, row)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(reject: Reject) -> str:
    """Write a reject as JSON, what JSON cannot hold as text."""
    try:
        return msgspec.json.encode(reject, enc_hook=str).decode()
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError):
        return msgspec.json.encode(msgspec.structs.replace(reject, row=ascii(reject.row))).decode()


def first_fault(faults: list[tuple[str, pl.Series]], n: int) -> pl.Series:
    """Return the name of each row's first fault (n,), null where it has none."""
    found = [pl.when(mask).then(pl.lit(name)) for name, mask in faults if mask.any()]
    if not found:
        return pl.repeat(None, n, dtype=pl.String, eager=True)
    return pl.select(pl.coalesce(found)).to_series()

"""Expressions of the mapping that pick rows: parsed by polars' SQL parser, never evaluated as code."""

from itertools import combinations
from typing import NamedTuple

import polars as pl

from kindred.core.errors import ConfigError


class Picked(NamedTuple):
    """Which rows an expression is true for, and which it could not be asked of, as a text was no number (n,) bool."""

    kept: pl.Series
    unreadable: pl.Series


class RowFilter:
    """A condition over the columns of a file, in SQL: comparisons, AND, OR, NOT, IN, LIKE, IS NULL, functions.

    Columns that stand as text (all those of CSV files) are read as numbers where the expression needs numbers.
    """

    def __init__(self, expression: str, where: str) -> None:
        """Parse; `where` names the key of the mapping. Raises ConfigError when it is not an expression."""
        self._where, self._text = where, expression
        try:
            self._expression = pl.sql_expr(expression)
            self.columns = frozenset(self._expression.meta.root_names())
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"{where}: {expression!r} is not an expression: {error}") from error
        if not self.columns:
            raise ConfigError(f"{where}: {expression!r} names no column of the file")
        self._numeric: tuple[str, ...] | None = None

    def apply(self, frame: pl.DataFrame) -> Picked:
        """Return which rows to keep; an unknown (null) answer is no. Raises ConfigError when the types do not fit."""
        if self._numeric is None:
            self._numeric = self._fit(frame)
        read = frame.with_columns(pl.col(self._numeric).cast(pl.Float64, strict=False))
        wrong = [frame[name].is_not_null() & read[name].is_null() for name in self._numeric]
        unreadable = pl.repeat(False, len(frame), eager=True)
        for mask in wrong:
            unreadable = unreadable | mask
        return Picked(read.select(self._expression.fill_null(False)).to_series(), unreadable)

    def _fit(self, frame: pl.DataFrame) -> tuple[str, ...]:
        """Find the fewest text columns that must be numbers for the expression to have a meaning."""
        texts = sorted(name for name in self.columns if frame.schema[name] == pl.String)
        reason = "is neither true nor false"
        for count in range(min(len(texts), 6) + 1):
            for chosen in combinations(texts, count):
                empty = frame.clear().with_columns(pl.col(chosen).cast(pl.Float64))
                try:
                    if empty.select(self._expression).dtypes == [pl.Boolean]:
                        return chosen
                except pl.exceptions.PolarsError as error:
                    reason = str(error).splitlines()[0]
        raise ConfigError(f"{self._where}: {self._text!r} does not fit the file's columns: {reason}")

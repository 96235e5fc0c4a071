"""From a column of the mapping to a column of values."""

from collections.abc import Callable, Iterable

import polars as pl

from kindred.ingest.importing.identifiers import to_identifiers
from kindred.ingest.importing.mapping import Column


def column_names(columns: Iterable[Column]) -> set[str]:
    """Return the columns of the file that mapping columns read."""
    return {name for column in columns for name in column.names}


def take(
    frame: pl.DataFrame, column: Column | None, read: Callable[[pl.Series], pl.Series], dtype: type[pl.DataType]
) -> pl.Series:
    """Read a field's values (n,) of `dtype`: the first column that has one, through the mapping's value map."""
    if column is None:
        return pl.repeat(None, len(frame), dtype=dtype, eager=True)
    if column.constant is not None:
        constant = str(column.constant) if dtype == pl.String else column.constant
        return pl.repeat(constant, len(frame), dtype=dtype, eager=True)
    result = read(_mapped(frame[column.names[0]], column))
    for name in column.names[1:]:
        result = pl.select(pl.coalesce(result, read(_mapped(frame[name], column)))).to_series()
    return result


def identifiers(frame: pl.DataFrame, column: Column | None) -> pl.Series:
    """Read a field as identifiers."""
    return take(frame, column, to_identifiers, pl.String)


def texts(frame: pl.DataFrame, column: Column | None) -> pl.Series:
    """Read a field as trimmed texts, an empty one as missing."""
    return take(frame, column, lambda values: _blank(to_identifiers(values).str.strip_chars()), pl.String)


def numbers(frame: pl.DataFrame, column: Column | None) -> tuple[pl.Series, pl.Series]:
    """Read a field as float64, and say which values (n,) bool are there and are no finite number."""
    values = take(frame, column, _number, pl.Float64)
    present = present_values(frame, column)
    return values, present & ~values.is_finite().fill_null(False)


def present_values(frame: pl.DataFrame, column: Column | None) -> pl.Series:
    """Say which rows have some value for a field (n,) bool."""
    if column is None or column.constant is not None:
        return pl.repeat(column is not None, len(frame), eager=True)
    present = pl.repeat(False, len(frame), eager=True)
    for name in column.names:
        values = _mapped(frame[name], column)
        if values.dtype == pl.String:
            values = _blank(values.str.strip_chars())
        present = present | values.is_not_null()
    return present


def _mapped(values: pl.Series, column: Column) -> pl.Series:
    """Apply the mapping's value map, which speaks of texts."""
    if not column.values:
        return values
    return _blank(to_identifiers(values).replace(column.values))


def _blank(values: pl.Series) -> pl.Series:
    """Turn empty texts into missing values."""
    return values.set((values == "").fill_null(False), None)


def _number(values: pl.Series) -> pl.Series:
    """Read numbers, also from text."""
    plain = values.str.strip_chars() if values.dtype == pl.String else values
    if not (plain.dtype == pl.String or plain.dtype.is_numeric() or plain.dtype in (pl.Boolean, pl.Null)):
        return pl.repeat(None, len(values), dtype=pl.Float64, eager=True)
    return plain.cast(pl.Float64, strict=False)


def text_lists(frame: pl.DataFrame, column: Column | None) -> pl.Series:
    """Read a field as lists of trimmed texts without empties or repeats: list columns, or texts cut at a delimiter."""
    if column is None:
        return pl.repeat([], len(frame), dtype=pl.List(pl.String), eager=True)
    if column.constant is not None:
        parts = [pl.repeat(str(column.constant), len(frame), dtype=pl.String, eager=True)]
    else:
        parts = [frame[name] for name in column.names]
    lists = [_as_list(values, column).fill_null([]) for values in parts]
    joined = pl.select(pl.concat_list(lists).alias("l"))
    element = pl.element().str.strip_chars()
    if column.values:
        element = element.replace(column.values)
    kept = joined.select(pl.col("l").list.eval(element.filter(element != "").unique(maintain_order=True)))
    return kept.to_series()


def _as_list(values: pl.Series, column: Column) -> pl.Series:
    """Return one list of texts per row."""
    if isinstance(values.dtype, pl.List):
        return values.cast(pl.List(pl.String))
    plain = to_identifiers(values)
    if column.delimiter:
        return plain.str.split(column.delimiter)
    return pl.select(pl.when(plain.is_not_null()).then(pl.concat_list(plain))).to_series()

"""Identifiers of files as the texts that Kindred keys by, and which rows break their rule."""

import polars as pl

from kindred.core.ids import MAX_BYTES, MAX_CHARACTERS, id_fault

_WHOLE_NUMBER = r"^(-?\d+)\.0+$"
_PLAIN = r"^[\x20-\x7e]{1,128}$"


def to_identifiers(values: pl.Series) -> pl.Series:
    """Return a column as texts: whole numbers without `.0` (also where the file wrote it), empty and NaN as null."""
    dtype = values.dtype
    if dtype.is_float():
        whole = (values == values.round()) & values.is_finite() & (values.abs() < 2**63)
        texts = pl.select(
            pl.when(whole).then(values.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(values.cast(pl.String))
        ).to_series()
        return texts.set(values.is_nan().fill_null(False), None).alias(values.name)
    texts = values.cast(pl.String, strict=False)
    if dtype == pl.String and texts.str.contains(r"\.0+$").any():
        texts = texts.str.replace(_WHOLE_NUMBER, "$1")
    return texts.set((texts == "").fill_null(False), None)


def faulty_identifiers(values: pl.Series) -> pl.Series:
    """Return which of a text column's values break the rule of ids (n,) bool; a null does not."""
    odd = ~values.str.contains(_PLAIN).fill_null(True)
    if not odd.any():
        return odd
    checked = {value: id_fault(value) is not None for value in values.filter(odd).unique()}
    return odd & values.replace_strict(list(checked), list(checked.values()), default=False, return_dtype=pl.Boolean)


RULE = f"an id has 1 to {MAX_CHARACTERS} characters, at most {MAX_BYTES} bytes and no control characters"

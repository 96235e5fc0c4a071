"""Times in any of the forms that files carry them in, as milliseconds since 1970 UTC."""

import polars as pl

from kindred.ingest.importing.mapping import TimeUnit

_PER_MS = {"ms": 1.0, "s": 1_000.0, "us": 1e-3, "ns": 1e-6}
_SECONDS_BELOW, _MS_BELOW, _US_BELOW = 1e11, 1e14, 1e17
_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(\.\d+)?)?\s*(Z|z|[+-]\d{2}:?\d{2})?$"


def to_milliseconds(values: pl.Series, unit: TimeUnit, zone: str, pattern: str | None = None) -> pl.Series:
    """Read a column of times as int64 ms; null where a value is missing or no time.

    Numbers are in `unit`, `auto` by their size (below 1e11 seconds, below 1e14 ms, below 1e17 µs, else ns); texts are
    numbers, ISO-8601, or of the strptime `pattern`. Times without a zone are local to `zone`; one that the clocks
    skipped there is no time, of one that they repeated the earlier is taken.
    """
    dtype = values.dtype
    if dtype.is_numeric():
        return _numbers(values.cast(pl.Float64), unit, values)
    if isinstance(dtype, pl.Datetime):
        return _instants(values if dtype.time_zone else _local(values, zone))
    if dtype == pl.Date:
        return _instants(_local(values.cast(pl.Datetime("us")), zone))
    if dtype == pl.String:
        return _texts(values.str.strip_chars(), unit, zone, pattern)
    return pl.Series(values.name, [None] * len(values), dtype=pl.Int64)


def _numbers(values: pl.Series, unit: TimeUnit, exact: pl.Series) -> pl.Series:
    """Scale numbers to milliseconds; whole milliseconds are passed on exactly."""
    finite = values.is_finite()
    values = values.set(~finite, None)
    if unit == "ms" and exact.dtype.is_integer():
        return exact.cast(pl.Int64, strict=False)
    column, size = pl.col("t"), pl.col("t").abs()
    if unit == "auto":
        scale = (
            pl.when(size < _SECONDS_BELOW)
            .then(_PER_MS["s"])
            .when(size < _MS_BELOW)
            .then(_PER_MS["ms"])
            .when(size < _US_BELOW)
            .then(_PER_MS["us"])
            .otherwise(_PER_MS["ns"])
        )
    else:
        scale = pl.lit(_PER_MS[unit])
    scaled = values.alias("t").to_frame().select((column * scale).round().cast(pl.Int64, strict=False))
    return scaled.to_series().alias(exact.name)


def _local(values: pl.Series, zone: str) -> pl.Series:
    """Take times without a zone as local ones."""
    return values.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")


def _instants(values: pl.Series) -> pl.Series:
    """Return times with a zone as milliseconds."""
    return values.dt.timestamp("ms")


def _texts(values: pl.Series, unit: TimeUnit, zone: str, pattern: str | None) -> pl.Series:
    """Read texts: by the pattern where there is one, else as numbers, else as ISO-8601."""
    if pattern is not None:
        read = values.str.to_datetime(pattern, time_unit="us", strict=False)
        aware = isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None
        return _instants(read if aware else _local(read, zone))
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() == values.null_count():
        return _numbers(
            numbers, unit, values.cast(pl.Int64, strict=False).fill_null(numbers.cast(pl.Int64, strict=False))
        )
    return _numbers(numbers, unit, numbers).fill_null(_iso(values, zone))


def _iso(values: pl.Series, zone: str) -> pl.Series:
    """Read ISO-8601 texts with or without a zone."""
    groups = values.str.extract_groups(_ISO).struct.unnest()
    day, minute, second, fraction, offset = (groups.to_series(i) for i in range(5))
    clock = minute.fill_null("00:00") + second.fill_null(":00") + fraction.fill_null("")
    naive = (day + "T" + clock).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    written = offset.str.to_uppercase().replace("Z", "+0000").str.replace(":", "")
    hours, minutes = written.str.slice(1, 2).cast(pl.Int64), written.str.slice(3, 2).cast(pl.Int64)
    sign = pl.select(pl.when(written.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    shifted = _instants(naive) - sign * (hours * 60 + minutes) * 60_000
    local = _instants(_local(naive, zone))
    return pl.select(pl.when(offset.is_null()).then(local).otherwise(shifted)).to_series()

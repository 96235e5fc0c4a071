"""Row ids: the same row of the same source has the same id in every run."""

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

_PART = "\x1f"
_FIELDS = ("user_id", "item_id", "event_type", "timestamp", "value_bits", "quantity_bits", "session")
ROW_ID = "row_id"
BUCKETS = 256


def with_row_ids(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """Add the column `row_id` (16 bytes): xxh3 of the source, the row before any shift, and its n-th occurrence.

    All rows of a user must be in the frame, in the order of the source; exact repeats count up, so they stay apart.
    Identifiers hold no control characters, so that the separator cannot be forged.
    """
    canonical = pl.concat_str([_text(name) for name in _FIELDS], separator=_PART)
    keyed = rows.with_columns(_bits(rows, "value"), _bits(rows, "quantity")).select(canonical.alias("key"))
    texts = source + _PART + keyed["key"] + _PART + _occurrences(keyed).cast(pl.String)
    digests = list(map(xxhash.xxh3_128_digest, texts.cast(pl.Binary).to_list()))
    return rows.with_columns(pl.Series(ROW_ID, digests, dtype=pl.Binary))


def row_id_array(row_ids: pl.Series) -> NDArray[np.void]:
    """Return a column of row ids as (n,) V16."""
    return np.frombuffer(b"".join(row_ids.to_list()), dtype="V16")


def user_buckets(users: pl.Series) -> pl.Series:
    """Return each user's bucket (n,) uint8, the same in every run and release."""
    distinct = users.unique().to_list()
    buckets = [xxhash.xxh3_64_intdigest(user.encode()) % BUCKETS for user in distinct]
    return users.replace_strict(distinct, buckets, return_dtype=pl.UInt8)


def _text(name: str) -> pl.Expr:
    """Return a field as text, a missing one as empty."""
    return pl.col(name).cast(pl.String).fill_null("")


def _bits(rows: pl.DataFrame, name: str) -> pl.Series:
    """Return numbers as their 64 bits, so that no rounding of texts can join two values."""
    values = rows[name].fill_null(np.nan).to_numpy() + 0.0
    return pl.Series(f"{name}_bits", values.view(np.int64))


def _occurrences(keyed: pl.DataFrame) -> pl.Series:
    """Return how many equal keys stand before each row (n,) int64; only repeated keys cost a grouping."""
    repeated = keyed["key"].is_duplicated()
    counts = pl.repeat(0, len(keyed), dtype=pl.Int64, eager=True)
    if repeated.any():
        among = keyed.filter(repeated).select(pl.int_range(pl.len()).over("key")).to_series()
        counts = counts.scatter(repeated.arg_true(), among)
    return counts

"""One part of an import: its users' rows with ids and ordinals, the known ones and the cancelled ones taken out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from kindred.core.errors import InvalidInput
from kindred.features.groups import MAX_TYPES
from kindred.ingest.fold_columns import FoldColumns
from kindred.ingest.importing.cancellations import settle
from kindred.ingest.importing.circumstances import circumstances
from kindred.ingest.importing.normalise import UNKNOWN_TIME
from kindred.ingest.importing.row_ids import ROW_ID, with_row_ids


@dataclass(frozen=True, slots=True)
class Part:
    """A worked part: `rows` for the lake, what the consumer folds, the first time of each item, and the counts."""

    rows: pl.DataFrame
    fold: FoldColumns
    first_times: pl.DataFrame
    known: int = 0
    taken_back: int = 0
    taken_back_late: int = 0
    cancellations: int = 0
    unmatched: int = 0


@dataclass(frozen=True, slots=True)
class PartWorker:
    """What all parts of an import share.

    `ordinals` has the columns item_id and ordinal (int32); `shift` ms is added to known times; `cancelled` is the
    event type that cancellations take back.
    """

    source: str
    ordinals: pl.DataFrame
    shift: int
    cancelled: str

    def work(self, rows: pl.DataFrame | None, known: pl.DataFrame, profiles: Mapping[str, bytes]) -> Part:
        """Work one part; `known` are the row ids that the lake has, `profiles` the changed ones by user."""
        if rows is None or not len(rows):
            return Part(pl.DataFrame(), _fold(None, profiles), _no_times())
        events = with_row_ids(rows.filter(~pl.col("cancels")), self.source)
        cancels = rows.filter("cancels").with_columns(pl.lit(None, dtype=pl.Binary).alias(ROW_ID))
        # Cancellations stand where the source has them, for those of the same time.
        settled = settle(_in_order(rows, events, cancels), self.cancelled)
        fresh = settled.kept.join(known, on=ROW_ID, how="anti", maintain_order="left")
        late = settled.taken_back.join(known, on=ROW_ID, how="semi")
        placed = self._place(settled.kept)
        rows_new = self._place(fresh).sort(["user_id", "timestamp"], maintain_order=True)
        return Part(
            rows=rows_new,
            fold=_fold(rows_new, profiles),
            first_times=_first_times(placed),
            known=len(settled.kept) - len(fresh) + len(late),
            taken_back=len(settled.taken_back) - len(late),
            taken_back_late=len(late),
            cancellations=len(cancels),
            unmatched=settled.unmatched,
        )

    def _place(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add ordinals and shift known times; imported rows arrived when they happened."""
        known = pl.col("timestamp") != UNKNOWN_TIME
        shifted = pl.when(known).then(pl.col("timestamp") + self.shift).otherwise(UNKNOWN_TIME).cast(pl.Int64)
        joined = rows.join(self.ordinals, on="item_id", how="left", maintain_order="left")
        return joined.with_columns(shifted.alias("timestamp")).with_columns(pl.col("timestamp").alias("ingested_at"))


def _in_order(rows: pl.DataFrame, events: pl.DataFrame, cancels: pl.DataFrame) -> pl.DataFrame:
    """Put events and cancellations back into the order of `rows`."""
    if not len(cancels):
        return events
    index = rows.with_row_index("__order").select("__order", "cancels")
    placed = [
        part.with_columns(index.filter(pl.col("cancels") == which)["__order"])
        for part, which in ((events, False), (cancels, True))
    ]
    return pl.concat(placed).sort("__order").drop("__order")


def _fold(rows: pl.DataFrame | None, profiles: Mapping[str, bytes]) -> FoldColumns:
    """Return rows that are sorted by user as fold columns, then the users that only have a profile."""
    users: list[str] = []
    starts = np.zeros(1, np.int64)
    names: tuple[str, ...] = ()
    empty = np.empty(0)
    ordinals, times, codes, values = empty, empty, empty, empty
    told = None
    if rows is not None and len(rows):
        runs = rows["user_id"].rle().struct.unnest()
        users = runs["value"].to_list()
        starts = np.concatenate([[0], np.cumsum(runs["len"].to_numpy())]).astype(np.int64)
        names = tuple(sorted(rows["event_type"].unique()))
        ordinals, times = rows["ordinal"].to_numpy(), rows["timestamp"].to_numpy()
        code = rows["event_type"].replace_strict(list(names), list(range(len(names))), return_dtype=pl.Int64)
        codes, values = code.to_numpy(), rows["value"].fill_null(np.nan).to_numpy()
        told = circumstances(rows)
    if len(names) > MAX_TYPES:
        raise InvalidInput(f"more than {MAX_TYPES} event types: is event_type mapped to the right column?")
    active = set(users)
    idle = [user for user in profiles if user not in active]
    starts = np.concatenate([starts, np.full(len(idle), starts[-1], np.int64)])
    users = users + idle
    return FoldColumns(
        users=users,
        starts=starts,
        ordinals=ordinals.astype(np.int32),
        timestamps=times.astype(np.int64),
        types=codes.astype(np.uint8),
        values=values.astype(np.float32),
        names=names,
        profiles=[profiles.get(user, b"") for user in users] if profiles else [],
        told=told,
    )


def _first_times(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the first known time of each item, null where none is known."""
    known = pl.col("timestamp").filter(pl.col("timestamp") != UNKNOWN_TIME).min()
    return rows.group_by("item_id").agg(known.alias("first"))


def _no_times() -> pl.DataFrame:
    return pl.DataFrame(schema={"item_id": pl.String, "first": pl.Int64})

"""Raw rows of interactions into the platform's columns, the bad ones told apart."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from kindred.core.clock import MINUTE
from kindred.ingest.event_types import LARGEST_VALUE, value_field
from kindred.ingest.importing.circumstances import DETAILS, read_circumstances, watched_shares
from kindred.ingest.importing.columns import column_names, identifiers, numbers, present_values, take, texts
from kindred.ingest.importing.identifiers import RULE, faulty_identifiers, to_identifiers
from kindred.ingest.importing.mapping import EVENT_NAME, InteractionTable
from kindred.ingest.importing.readers import RawBatch
from kindred.ingest.importing.rejects import LINE, Rejects, first_fault
from kindred.ingest.importing.row_filter import RowFilter
from kindred.ingest.importing.times import to_milliseconds

UNKNOWN_TIME = -1
FUTURE = 5 * MINUTE
ANONYMOUS = "anon:"
RATING = "rating"
_EVENT_HINT = "event types are small letters, digits and _; name yours under [interactions] events = { yours = 'view' }"
_DETAILS = {
    "missing user_id": 'the row has no user; say missing_user = "drop" or "anon:<column>" to allow it',
    "missing item_id": "the row has no item",
    "bad user_id": RULE,
    "bad item_id": RULE,
    "bad session": RULE,
    "missing event_type": "the row has no event type",
    "bad event_type": _EVENT_HINT,
    "unknown event_type": "not one of the configured event types; map it under [interactions] events, or configure it",
    "bad timestamp": "neither a number, ISO-8601, nor of timestamp_format, or outside the years 1970 to 9999",
    "timestamp in the future": "more than 5 minutes ahead of the clock; check timestamp_unit and timezone",
    "bad value": "not a number from 0 to 1e9",
    "rating out of range": "a rating lies between 0 and max_rating",
    "rating without value": 'the row has no rating; say without_value = "view" to count it as another event',
    "bad quantity": "not a finite number above 0; map cancellations under [interactions] cancellation",
    **DETAILS,
    "bad where": "the where expression compares a column as a number that is none here",
}
_LATEST = 253_402_300_799_000


@dataclass(slots=True)
class Limits:
    """What rows are held against: `now` ms, `shift` ms to be added to times, and the allowed event types or None."""

    now: int
    shift: int = 0
    event_types: frozenset[str] | None = None


@dataclass(slots=True)
class Tally:
    """What became of the rows that were read, besides those rejected."""

    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    last_time: int | None = None


class InteractionNormaliser:
    """Turns raw batches into frames of good rows, stateless but for its tally.

    Columns: user_id, item_id, event_type, session (text or null), timestamp (int64 ms, -1 unknown), value, quantity
    (float64 or null), cancels (bool), `__line`, and the circumstances that the mapping names.
    """

    def __init__(self, table: InteractionTable, zone: str, limits: Limits, rejects: Rejects) -> None:
        """Parse the mapping's expressions; raise ConfigError when one is none."""
        self._table, self._zone, self._limits, self._rejects = table, zone, limits, rejects
        self._where = RowFilter(table.where, "interactions.where") if table.where else None
        cancel = table.cancellation
        expression = cancel.where if cancel else None
        self._cancel = RowFilter(expression, "interactions.cancellation.where") if expression else None
        self.tally = Tally()

    @property
    def needed(self) -> set[str]:
        """Return the columns of the file that are read."""
        names = column_names(self._table.columns.values())
        for row_filter in (self._where, self._cancel):
            names |= row_filter.columns if row_filter else set()
        anonymous = self._table.anonymous_column
        return names | ({anonymous} if anonymous else set())

    def normalise(self, batch: RawBatch) -> pl.DataFrame:
        """Return the good rows of a batch; the bad ones go to the rejects, those left out are counted."""
        self.tally.read += len(batch.frame)
        raw, unreadable = self._pick(batch.frame)
        if len(unreadable):
            self._rejects.add_rows(unreadable, batch.file, "bad where", _DETAILS["bad where"])
        rows, faults = self._columns(raw)
        bad = faults.is_not_null()
        for reason in faults.drop_nulls().unique(maintain_order=True):
            chosen = raw.filter((faults == reason).fill_null(False))
            self._rejects.add_rows(chosen, batch.file, reason, _DETAILS[reason])
        good = rows.filter(~bad)
        self._note_time(good)
        return good

    def _pick(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Leave rows out by the mapping's rules; also return the rows that the expression could not be asked of."""
        unreadable = raw.clear()
        if self._where:
            picked = self._where.apply(raw)
            unreadable = raw.filter(picked.unreadable)
            kept = picked.kept & ~picked.unreadable
            self.tally.left_out["where"] += len(raw) - int(kept.sum()) - len(unreadable)
            raw = raw.filter(kept)
        if self._table.missing_user == "drop":
            known = identifiers(raw, self._table.columns["user_id"]).is_not_null()
            self.tally.left_out["missing user_id"] += len(raw) - int(known.sum())
            raw = raw.filter(known)
        return raw, unreadable

    def _columns(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the platform's columns of all rows, and each row's first fault or null."""
        spec = self._table.columns
        users, items = self._users(raw), identifiers(raw, spec["item_id"])
        sessions = identifiers(raw, spec.get("session"))
        events = texts(raw, spec["event_type"]).replace(self._table.events)
        times, bad_times = self._times(raw)
        values, bad_values = numbers(raw, spec.get("value"))
        quantities, bad_quantities = numbers(raw, spec.get("quantity"))
        cancels = self._cancels(raw, events)
        unrated = (events == RATING).fill_null(False) & values.is_null() & ~bad_values
        if self._table.without_value:
            events = events.set(unrated, self._table.without_value)
            unrated = unrated & False
        told, told_faults = read_circumstances(raw, spec)
        values = _with_shares(values, events, watched_shares(told))
        ratings = (events == RATING).fill_null(False)
        ahead = self._limits.now + FUTURE
        faults = [
            ("missing user_id", users.is_null()),
            ("bad user_id", faulty_identifiers(users)),
            ("missing item_id", items.is_null()),
            ("bad item_id", faulty_identifiers(items)),
            ("bad session", faulty_identifiers(sessions)),
            *self._event_faults(events, cancels),
            ("bad timestamp", bad_times),
            ("timestamp in the future", (times > ahead) | (times + self._limits.shift > ahead)),
            ("bad value", (bad_values | (~values.is_between(0, LARGEST_VALUE)).fill_null(False)) & ~cancels),
            ("rating out of range", ratings & (values > self._table.max_rating).fill_null(False)),
            ("rating without value", unrated),
            ("bad quantity", bad_quantities | ((quantities <= 0).fill_null(False) & ~cancels)),
            *told_faults,
        ]
        rows = pl.DataFrame(
            {
                "user_id": users,
                "item_id": items,
                "event_type": events,
                "session": sessions,
                "timestamp": times,
                "value": values,
                "quantity": quantities,
                "cancels": cancels,
                **told,
                LINE: raw[LINE],
            }
        )
        return rows, first_fault(faults, len(raw))

    def _users(self, raw: pl.DataFrame) -> pl.Series:
        """Read users, naming those without an id where the mapping says how."""
        users = identifiers(raw, self._table.columns["user_id"])
        column = self._table.anonymous_column
        if column is None:
            return users
        return pl.select(pl.coalesce(users, ANONYMOUS + to_identifiers(raw[column]))).to_series()

    def _times(self, raw: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Read times, -1 for missing ones, and say which are there and are none."""
        table = self._table
        column = table.columns.get("timestamp")

        def read(values: pl.Series) -> pl.Series:
            return to_milliseconds(values, table.timestamp_unit, self._zone, table.timestamp_format)

        times = take(raw, column, read, pl.Int64)
        bad = present_values(raw, column) & (times.is_null() | (times < 0) | (times > _LATEST)).fill_null(True)
        return times.fill_null(UNKNOWN_TIME), bad

    def _cancels(self, raw: pl.DataFrame, events: pl.Series) -> pl.Series:
        """Say which rows are cancellations."""
        cancel = self._table.cancellation
        if self._cancel:
            return self._cancel.apply(raw).kept
        if cancel:
            return (events == cancel.event).fill_null(False)
        return pl.repeat(False, len(raw), eager=True)

    def _event_faults(self, events: pl.Series, cancels: pl.Series) -> list[tuple[str, pl.Series]]:
        """Check event types; those of cancellations are never stored and may be any."""
        allowed = self._limits.event_types
        misnamed = ~events.str.contains(EVENT_NAME.pattern).fill_null(True)
        faults = [("missing event_type", events.is_null()), ("bad event_type", misnamed)]
        if allowed is not None:
            faults.append(("unknown event_type", ~events.is_in(sorted(allowed)).fill_null(True) & ~cancels))
        return faults

    def _note_time(self, rows: pl.DataFrame) -> None:
        """Remember the latest time."""
        latest = rows.filter(~pl.col("cancels"))["timestamp"].max()
        if isinstance(latest, int) and latest != UNKNOWN_TIME:
            self.tally.last_time = max(latest, self.tally.last_time or 0)


def _with_shares(values: pl.Series, events: pl.Series, shares: pl.Series | None) -> pl.Series:
    """Take the watched share for the value (n,) of events that have neither a rating nor a price."""
    if shares is None:
        return values
    valued = [name for name in events.unique().drop_nulls() if value_field(name) is not None]
    filled = pl.DataFrame({"value": values, "event": events, "share": shares}).select(
        pl.when(pl.col("event").is_in(valued)).then(pl.col("value")).otherwise(pl.coalesce("value", "share"))
    )
    return filled.to_series()

"""What a file tells of an interaction besides who did what, when: the slate it came from, the place, the device."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from kindred.features.changes import request_hash
from kindred.features.circumstances import Circumstances, Labels
from kindred.ingest.event_types import LARGEST_VALUE
from kindred.ingest.importing.columns import identifiers, numbers
from kindred.ingest.importing.identifiers import RULE, faulty_identifiers
from kindred.ingest.importing.mapping import CIRCUMSTANCES, Column
from kindred.ingest.user_changes import country_of
from kindred.ingest.validate import MOST_WHOLE

_NUMBERS = ("position", "watch_duration", "total_duration")
DETAILS = {
    **{f"bad {name}": RULE for name in CIRCUMSTANCES if name not in _NUMBERS},
    "bad position": f"not a whole number from 0 to {MOST_WHOLE}; the first place of a slate is 0",
    "bad watch_duration": "not a number of seconds from 0 to 1e9",
    "bad total_duration": "not a number of seconds from 0 to 1e9",
}
Faults = list[tuple[str, pl.Series]]


def read_circumstances(raw: pl.DataFrame, columns: Mapping[str, Column]) -> tuple[dict[str, pl.Series], Faults]:
    """Read the fields that the mapping names, text or float64 (n,) with nulls, and say which rows break their rules."""
    found: dict[str, pl.Series] = {}
    faults: Faults = []
    for name in CIRCUMSTANCES:
        if name not in columns:
            continue
        if name in _NUMBERS:
            found[name], bad = numbers(raw, columns[name])
            most = MOST_WHOLE if name == "position" else LARGEST_VALUE
            bad |= (~found[name].is_between(0, most)).fill_null(False)
            if name == "position":
                bad |= (found[name] != found[name].floor()).fill_null(False)
        else:
            found[name] = identifiers(raw, columns[name])
            bad = faulty_identifiers(found[name])
        faults.append((f"bad {name}", bad))
    return found, faults


def watched_shares(found: Mapping[str, pl.Series]) -> pl.Series | None:
    """Return which share was watched (n,), null where a row does not say; None where no row can."""
    watched, total = found.get("watch_duration"), found.get("total_duration")
    if watched is None or total is None:
        return None
    shares = pl.DataFrame({"watched": watched, "total": total}).select(
        pl.when(pl.col("total") > 0).then(pl.min_horizontal(pl.col("watched") / pl.col("total"), 1.0)).alias("share")
    )
    return shares["share"]


def circumstances(rows: pl.DataFrame) -> Circumstances | None:
    """Return the circumstances of normalised rows, None where the mapping names none."""
    if not set(CIRCUMSTANCES).intersection(rows.columns):
        return None
    countries = {location: country_of(location) for location in _texts(rows, "location").unique()}
    return Circumstances(
        np.array([request_hash(request) for request in _texts(rows, "request_id")], np.uint64),
        _numbers(rows, "position").fill_null(0).cast(pl.Int32).to_numpy(),
        _numbers(rows, "watch_duration").fill_null(np.nan).to_numpy(),
        Labels.of(_texts(rows, "placement")),
        Labels.of(_texts(rows, "device")),
        Labels.of(countries[location] for location in _texts(rows, "location")),
    )


def _texts(rows: pl.DataFrame, name: str) -> pl.Series:
    return rows[name] if name in rows.columns else pl.repeat(None, len(rows), dtype=pl.String, eager=True)


def _numbers(rows: pl.DataFrame, name: str) -> pl.Series:
    return rows[name] if name in rows.columns else pl.repeat(None, len(rows), dtype=pl.Float64, eager=True)

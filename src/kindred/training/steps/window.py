"""The data window of a training run: which of the collected rows may teach."""

import re
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import numpy as np

from kindred.core.clock import DAY, HOUR, MINUTE, format_time, parse_time
from kindred.core.errors import InvalidInput
from kindred.training.config import TrainingConfig
from kindred.training.dataset import Dataset

_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_SPAN = re.compile(r"(\d+)([mhdw])")


class Windowed(NamedTuple):
    """The rows that teach, and how many were left out or mended, by reason."""

    dataset: Dataset
    left_out: dict[str, float]


def parse_since(text: str, now: int) -> int:
    """Read a span before `now` (`90d`, `12h`, `30m`, `6w`) or a date into ms; raise InvalidInput."""
    if found := _SPAN.fullmatch(text.strip()):
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        moment = parse_time(f"{date.fromisoformat(text.strip())}T00:00:00Z", "since")
    except ValueError:
        moment = None
    if moment is None:
        try:
            moment = parse_time(text.strip(), "since")
        except InvalidInput as error:
            said = f"is {text[:40]!r}: give a span (90d, 12h, 6w) or a date (2026-01-31)"
            raise InvalidInput.at("since", said) from error
    if moment >= now:
        raise InvalidInput.at("since", f"is {format_time(moment)}, which is not in the past")
    return moment


def windowed(dataset: Dataset, config: TrainingConfig, now: int, since: int | None) -> Windowed:
    """Leave out rows from the future and from before `since` (ms); values that are no numbers become none.

    A row is from the future when it is later than `training.future` seconds behind `now`; with `since`, rows without a
    time are left out too. Raises InvalidInput when `since` leaves nothing.
    """
    rows = dataset.interactions
    infinite = np.isinf(rows.values)
    rows = replace(rows, values=np.where(infinite, np.float32(np.nan), rows.values)) if infinite.any() else rows
    future = rows.timestamps > now + config.future * 1_000
    old = np.zeros(len(rows), np.bool_) if since is None else rows.timestamps < since
    if since is not None and len(rows) and not (~future & ~old).any():
        raise InvalidInput.at("since", f"is {format_time(since)}, and no interaction is later: give an earlier one")
    counted = {"future_rows": future, "before_since": old & ~future, "infinite_values": infinite}
    left_out = {f"data.{name}": float(mask.sum()) for name, mask in counted.items() if mask.any()}
    return Windowed(replace(dataset, interactions=rows).with_rows(~(future | old)), left_out)

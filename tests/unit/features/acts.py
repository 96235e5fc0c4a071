"""Strategies of interactions for the fold's property tests."""

import itertools
import math

import numpy as np
from hypothesis import strategies as st

from kindred.core.position import Position
from kindred.features.changes import Act
from kindred.features.counters import ENTRY
from kindred.features.groups import FoldConfig
from kindred.features.sessions import session_list
from kindred.features.users import UserRecord

START_TIME = 1_700_000_000_000
SMALL = FoldConfig(history_rows=8, seen_items=6, recent_events=256)

_types = st.sampled_from(["view", "click", "rating", "purchase", "dislike", "impression", "search"])


@st.composite
def acts(draw, most=30, duplicates=True, late=True):
    """Draw acts of one user, in order of position; times jump about, ids may come back."""
    count = draw(st.integers(0, most))
    found = []
    for offset in range(count):
        kind = draw(_types)
        arrival = START_TIME + offset * 1000
        delay = draw(st.sampled_from([0, 0, 500, 60_000, 3_600_000, 80_000_000, *([200_000_000] if late else [])]))
        value = draw(st.sampled_from([1.0, 3.7, 5.0])) if kind == "rating" else math.nan
        event = draw(st.integers(0, 6)) if duplicates else 1000 + offset
        item = -1 if kind == "search" else draw(st.integers(0, 9))
        found.append(Act(Position(0, 0, offset), event, arrival, item, kind, arrival - delay, value))
    return found


def cuts(sequence, points):
    """Cut a sequence at sorted points."""
    edges = [0, *sorted(min(point, len(sequence)) for point in points), len(sequence)]
    return [sequence[a:b] for a, b in itertools.pairwise(edges)]


def meaning(record: UserRecord | None):
    """Return what a record says, whatever numbers it gives to event types; zero amounts say nothing."""
    if record is None:
        return None
    rows = record.rows()
    columns = zip(rows.items.tolist(), rows.timestamps.tolist(), rows.event_types(), map(str, rows.values), strict=True)
    return (
        list(columns),
        record.seen_items().tolist(),
        record.interactions,
        record.profile,
        amounts(record.counters),
        session_list(record.sessions),
    )


def amounts(counters: bytes) -> dict[int, int]:
    """Return the amounts that are not zero, by slot."""
    return {slot: amount for slot, amount in np.frombuffer(counters, ENTRY).tolist() if amount}

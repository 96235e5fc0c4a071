"""What users did before one moment, written down shortly, for tests that compute values by hand."""

import math
from dataclasses import replace

import numpy as np
from msgspec import structs

from kindred.core.clock import DAY, parse_time
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.core.query import Context
from kindred.features.changes import Act, ProfileChange, Shown
from kindred.features.offline import Arrival, Moment, Replay
from kindred.features.values.attributes import attributes_of

NOW = parse_time("2024-05-15T14:30:00Z", "/now")
"""A Wednesday; a bucket of five minutes begins."""

SHOP = replace(
    attributes_of(
        [
            Item(
                item_id="0",
                categories=["Drama", "Romance"],
                tags=["sad", "old"],
                created=NOW - 30 * DAY,
                price=10.0,
            ),
            Item(item_id="1", categories=["Comedy"], tags=["funny", "old"], created=NOW - 10 * DAY, price=20.0),
            Item(item_id="2", categories=["Drama"], tags=["sad"]),
            Item(item_id="3", created=NOW - 400 * DAY, price=40.0),
        ]
    ),
    popularity=np.array([0.5, 0.25, 0.125, np.nan], np.float32),
    quality=np.array([0.75, 0.5, 0.25, np.nan], np.float32),
    content=np.array([[3, 4], [0, 1], [0, 0], [1, 0]], np.float32),
    collaborative=np.array([[0, 2], [1, 1], [0, 0], [-1, 0]], np.float32),
)
TASTE = np.array([0.0, 2.0], np.float32)
"""The user's vector of either kind."""


def did(kind, item=0, ago=0, value=math.nan, watch=math.nan, user="u", request=0, device="", arrived=None):
    """Return an interaction `ago` ms before now; it arrived when it happened, or `arrived` ms before now."""
    arrival = NOW - (ago if arrived is None else arrived)
    return Arrival(arrival, user, Act(START, 0, arrival, item, kind, NOW - ago, value, watch, request, device))


def showed(*items, ago=0, request=0, user="u"):
    """Return that a client showed items `ago` ms before now."""
    return Arrival(NOW - ago, user, Shown(START, 0, NOW - ago, NOW - ago, items, request, "home"))


def profile(**said):
    """Return what the user said of themselves, a year ago."""
    return Arrival(NOW - 365 * DAY, "u", ProfileChange(START, Profile(user_id="u", **said)))


def placed(history):
    """Return a history in order of arrival, every change in a place and with an id of its own."""
    ordered = sorted(history, key=lambda each: each.arrival)
    return [
        each._replace(
            change=structs.replace(
                each.change,
                position=Position(0, 0, place),
                **({"event": place + 1} if hasattr(each.change, "event") else {}),
            )
        )
        for place, each in enumerate(ordered)
    ]


def values_of(history, **context):
    """Return every feature of user `u` with the items of the shop now."""
    replay = Replay()
    replay.fold(placed(history))
    moment = Moment("u", np.arange(len(SHOP), dtype=np.int32), Context(time=NOW, **context), TASTE, TASTE)
    return replay.values(moment, SHOP)

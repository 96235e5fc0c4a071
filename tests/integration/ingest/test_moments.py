"""Training equals serving: what was folded, read at any moment of arrival, is what the log says of that moment."""

import random
from collections import defaultdict
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.integration.ingest.moments import arrivals, plain, served
from tests.integration.ingest.stores import NOW, World
from tests.integration.ingest.test_fleet import ITEMS, USERS, stream

from kindred.core.clock import DAY, HOUR, FixedClock
from kindred.core.event import Interaction, ProfileUpdated
from kindred.core.item import Item
from kindred.core.query import Context
from kindred.features.offline import Moment, values_at
from kindred.features.registry import features
from kindred.features.values.attributes import attributes_of

STANDING = ("catalogue", "model")
"""What the catalogue or a model says stays while events come in."""
ORDINALS = np.arange(len(ITEMS), dtype=np.int32)
TASTE = np.array([1, -2], np.float32)
CATALOGUE = replace(
    attributes_of(
        [
            Item(
                item_id=item,
                categories=["ABC"[n % 3], "D"],
                tags=["xyz"[n % 3]],
                price=n + 0.5,
                created=NOW - n * 20 * DAY,
            )
            for n, item in enumerate(ITEMS)
        ]
    ),
    popularity=np.linspace(0, 1, len(ITEMS), dtype=np.float32),
    quality=np.linspace(1, 0, len(ITEMS), dtype=np.float32),
    content=np.arange(2 * len(ITEMS), dtype=np.float32).reshape(-1, 2),
    collaborative=np.arange(2 * len(ITEMS), dtype=np.float32).reshape(-1, 2)[::-1].copy(),
)


def arriving(seed, count):
    """Return a stream whose events come minutes apart, some of them too late to count, some of what was watched."""
    dice, found, now = random.Random(seed), [], NOW
    for event in stream(seed, count):
        now += dice.choice([0, 1, 1_000, 60_000, 40 * 60_000, 7 * HOUR])
        delay = dice.choice([0, 0, NOW - event.timestamp, 30 * HOUR])
        event = msgspec.structs.replace(event, ingested_at=now, timestamp=now - delay)
        if isinstance(event, ProfileUpdated):
            said = {"birth_year": dice.randrange(1950, 2005), "gender": dice.choice("fm"), "timezone": "Asia/Tokyo"}
            event = msgspec.structs.replace(event, profile=msgspec.structs.replace(event.profile, **said))
        if isinstance(event, Interaction):
            context = msgspec.structs.replace(event.context, device=dice.choice(["tv", "web", "fridge", None]))
            watched = {"watch_duration": dice.choice([1.5, 60.0]), "total_duration": 60.0}
            more = watched if event.event_type == "view" and dice.random() < 0.7 else {}
            event = msgspec.structs.replace(event, context=context, metadata=event.metadata | more)
        found.append(event)
    return found


def asked(user, time, dice):
    """Return a moment of a request."""
    context = Context(
        time=time,
        device=dice.choice(["tv", None]),
        page=dice.choice(["home", "cart"]),
        location=dice.choice(["AU", None]),
    )
    return Moment(user, ORDINALS, context, TASTE, TASTE)


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("seed", range(3))
async def test_what_is_served_is_what_training_sees(tmp_path, partitions, seed):
    """Duplicates, late events, slates, removals, merges and erasures included; read at every moment of arrival."""
    world = World(tmp_path, partitions=partitions, clock=FixedClock(NOW))
    assert await world.catalog.resolve(ITEMS, NOW) == ORDINALS.tolist()
    dice, live, waiting = random.Random(seed), [], []
    events = arriving(seed, 70)
    for number, event in enumerate(events):
        waiting.append(event)
        if number + 1 < len(events) and events[number + 1].ingested_at == event.ingested_at:
            continue
        await world.record(*waiting)
        await world.drain(batch=dice.choice([1, 3, 100]))
        for user in {event.user_id for event in waiting if hasattr(event, "user_id")} | {"u1", "u3"}:
            moment = asked(user, event.ingested_at, dice)
            live.append((moment, plain(await served(world.stores, moment, CATALOGUE))))
        waiting = []
    for later in (HOUR, 25 * HOUR, 40 * DAY):
        for user in USERS:
            moment = asked(user, events[-1].ingested_at + later, dice)
            live.append((moment, plain(await served(world.stores, moment, CATALOGUE))))
    taken = equal_at_every_moment(live, await arrivals(world.stores), CATALOGUE)
    assert all(len(values) > 1 for name, values in taken.items() if features()[name].freshness not in STANDING)


def equal_at_every_moment(live, log, catalogue):
    """Compare what was served with what the log says; return the values that each feature took."""
    offline = {
        id(moment): plain(values) for moment, values in values_at(log, [moment for moment, _ in live], catalogue)
    }
    taken = defaultdict(set)
    for moment, values in live:
        for name, value in values.items():
            assert offline[id(moment)][name] == value, (name, moment.user_id, moment.context.time)
            taken[name].add(repr(value))
    assert set(taken) == set(features())
    return taken

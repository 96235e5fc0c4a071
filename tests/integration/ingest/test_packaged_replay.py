"""The packaged data through the real consumer on embedded storage: at any moment every feature is what the log says.

The 100,836 ratings in order of arrival, some late, some too late, some twice. The data has ratings only: before every
tenth the user is shown the item among others, clicks it and watches it, so that every feature has something to say.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.integration.ingest.fleet import open_stores
from tests.integration.ingest.moments import arrivals, plain, served
from tests.integration.ingest.test_moments import equal_at_every_moment

from kindred.adapters.local.leases import open_leases
from kindred.core.clock import FixedClock, parse_time
from kindred.core.event import EventContext, Interaction, ProfileUpdated
from kindred.core.item import Item
from kindred.core.profile import Profile
from kindred.core.query import Context
from kindred.features.offline import Moment
from kindred.features.values.attributes import ItemAttributes, attributes_of
from kindred.ingest.consumer import Consumer
from kindred.ingest.journal import Journal
from kindred.sample import sample_folder

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
STOPS, USERS, ITEMS = 6, 30, 50
ZONES, COUNTRIES, DEVICES = ("UTC", "Asia/Tokyo", "America/Lima"), ("US", "JP", "PE"), ("tv", "web", "fridge", None)


def packaged_items() -> list[Item]:
    """Return the films with their tags."""
    tags = pl.read_csv(sample_folder() / "tags.csv").group_by("item_id").agg(pl.col("tag").unique().sort())
    films = pl.read_csv(sample_folder() / "movies.csv").join(tags, on="item_id", how="left")
    return [
        Item(
            item_id=str(film["item_id"]),
            categories=film["genres"].split("|"),
            tags=film["tag"] or [],
            price=float(film["item_id"] % 50),
            created=parse_time(f"{max(film['year'] or 1970, 1970)}-06-01T00:00:00Z", "/year"),
        )
        for film in films.iter_rows(named=True)
    ]


def happened(number: int, kind: str, user: int, item: str, at: int, delay: int = 0, **metadata: object) -> Interaction:
    """Return an event of a user, who always has the same device."""
    context = EventContext(request_id=f"r{number}", placement="home", device=DEVICES[user % 4])
    return Interaction(
        event_id=f"{kind}{number}",
        timestamp=at,
        ingested_at=at + delay,
        user_id=f"u{user}",
        item_id=item,
        event_type=kind,
        context=context,
        metadata=metadata,
    )


def told(ratings: pl.DataFrame) -> Iterator[Interaction]:
    """Yield the ratings as events, and around every tenth what may have led to it."""
    items = ratings["item_id"].cast(pl.String).to_list()
    for number, (user, item, stars, at) in enumerate(ratings.iter_rows()):
        at *= SECOND
        delay = 30 * HOUR if number % 997 == 0 else HOUR if number % 50 == 0 else 0
        rating = happened(number, "rating", user, str(item), at, delay, rating=stars)
        yield rating
        if number % 300 == 0:
            yield msgspec.structs.replace(rating, ingested_at=rating.ingested_at + 10 * MINUTE)
        if number % 10 == 0:
            shown = list(dict.fromkeys([str(item), *items[number + 1 : number + 5]]))
            yield happened(number, "impression", user, "", at - 3 * MINUTE, items=shown)
            yield happened(number, "click", user, str(item), at - 2 * MINUTE)
            yield happened(number, "view", user, str(item), at - MINUTE, watch_duration=20 * stars, total_duration=120)
            if stars > 4:
                yield happened(number, "purchase", user, str(item), at, price=stars)


def profiles(users: list[int], at: int) -> Iterator[ProfileUpdated]:
    """Yield what users said of themselves before all else."""
    for user in users:
        said = Profile(
            user_id=f"u{user}",
            birth_year=1940 + user % 60,
            gender="fmx"[user % 3],
            country=COUNTRIES[user % 3],
            timezone=ZONES[user % 3],
        )
        yield ProfileUpdated(event_id=f"p{user}", timestamp=at, ingested_at=at, profile=said)


def known(items: list[Item], ordinals: list[int]) -> ItemAttributes:
    """Return the catalogue as columns, with made-up vectors."""
    placed = dict(zip(ordinals, items, strict=True))
    whole = attributes_of([placed.get(ordinal) for ordinal in range(max(ordinals) + 1)])
    dice = np.random.default_rng(7)
    numbers = dice.random((len(whole), 6), np.float32)
    return replace(
        whole,
        popularity=numbers[:, 0],
        quality=numbers[:, 1],
        content=np.ascontiguousarray(numbers[:, 2:4]),
        collaborative=np.ascontiguousarray(numbers[:, 4:]),
    )


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_the_packaged_data_folded_live_is_what_training_sees(tmp_path: Path) -> None:
    """Stopped six times: the users and items of the last events and others, read from the store as requests do."""
    stores = await open_stores(tmp_path)
    items = packaged_items()
    ordinals = await stores.catalog.resolve([item.item_id for item in items], 0)
    catalogue = known(items, ordinals)
    ratings = pl.read_parquet(sample_folder() / "ratings.parquet").sort("timestamp", "user_id", "item_id")
    first = ratings["timestamp"][0] * SECOND - HOUR
    events = sorted(told(ratings), key=lambda event: event.ingested_at)
    users = sorted(ratings["user_id"].unique())
    stream = iter([*profiles(users, first), *events])
    clock, dice, live = FixedClock(first), random.Random(1), []
    consumer = Consumer(stores, await open_leases("leases", tmp_path), clock=clock)
    while part := list(islice(stream, len(events) // STOPS + len(users))):
        clock.time_ms = part[-1].ingested_at
        await consumer.drain_to(await recorded(stores, part))
        for moment in requests(part, users, dict(zip([item.item_id for item in items], ordinals, strict=True)), dice):
            live.append((moment, plain(await served(stores, moment, catalogue))))
    assert len(live) == STOPS * USERS
    taken = equal_at_every_moment(live, await arrivals(stores), catalogue)
    assert all(len(values) > 1 for values in taken.values())


async def recorded(stores, events):
    """Append events as a server does, and return the position of the last."""
    journal = Journal(stores.log)
    for start in range(0, len(events), 1_000):
        positions = await journal.record(events[start : start + 1_000])
    return positions[-1]


def requests(part, users, ordinals, dice) -> Iterator[Moment]:
    """Yield moments at the end of a part: half of the users and of the items are those of its last events."""
    last = [event for event in part[-2_000:] if isinstance(event, Interaction) and event.item_id]
    people = [event.user_id for event in last[-USERS // 2 :]] + [f"u{user}" for user in dice.sample(users, USERS // 2)]
    for user in people:
        named = [event.item_id for event in dice.sample(last, ITEMS // 2)] + dice.sample(list(ordinals), ITEMS // 2)
        chosen = np.array(sorted({ordinals[item] for item in named}), np.int32)
        context = Context(
            time=part[-1].ingested_at,
            device=dice.choice(DEVICES),
            page=dice.choice(["home", "cart"]),
            location=dice.choice(["AU", None]),
        )
        yield Moment(user, chosen, context, *np.random.default_rng(len(user)).random((2, 2), np.float32))

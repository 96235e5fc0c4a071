"""Importing rows gives every feature, placement and country what tracking the same rows one by one gives."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.ingest.moments import plain, served
from tests.integration.ingest.stores import World

from kindred.core.clock import DAY, HOUR, MINUTE, FixedClock
from kindred.core.event import EventContext, Interaction, ProfileUpdated
from kindred.core.item import Item
from kindred.core.profile import Profile
from kindred.core.query import Context
from kindred.features.groups import ITEM_COUNTRY, PLACEMENT
from kindred.features.item_countries import decode_country
from kindred.features.offline import Moment
from kindred.features.placements import PlacementRecord, decode_placement
from kindred.features.registry import features
from kindred.features.values.attributes import attributes_of
from kindred.ingest.importing import ImportOptions, ImportStores, parse_mapping, run_import
from kindred.ingest.importing.mapping import CIRCUMSTANCES

NOW = 1_750_000_000_000
USERS, ITEMS = [f"u{n}" for n in range(8)], [f"i{n}" for n in range(4)]
KINDS = ("view", "click", "rating", "purchase", "like", "dislike", "impression", "impression")
COLUMNS = ("user_id", "item_id", "event_type", "timestamp", "value", *CIRCUMSTANCES)
HOMES = {user: ("DE", "FR", None)[n % 3] for n, user in enumerate(USERS)}
CATALOGUE = replace(
    attributes_of([Item(item_id=item, categories=["ABC"[n % 3]], price=n + 1.0) for n, item in enumerate(ITEMS)]),
    popularity=np.linspace(0, 1, len(ITEMS), dtype=np.float32),
    quality=np.linspace(1, 0, len(ITEMS), dtype=np.float32),
)


def rows_of(seed: int, count: int = 600) -> list[dict[str, Any]]:
    """Draw rows in order of time: bursts of minutes, hours and days apart; some tell much, some little."""
    dice, found, at = random.Random(seed), [], NOW - 50 * DAY
    for _ in range(count):
        at += dice.choice([1, 1_000, *[MINUTE * 5] * 6, MINUTE * 40, HOUR * 3, HOUR * 9])
        kind = dice.choice(KINDS)
        watched = kind == "view" and dice.random() < 0.7
        row = {
            "user_id": dice.choice(USERS),
            "item_id": dice.choice(ITEMS),
            "event_type": kind,
            "timestamp": at,
            "value": {"rating": dice.choice([1.0, 3.5, 5.0]), "purchase": 2.25}.get(kind),
            "request_id": dice.choice([None, "r1", "r2", "r3"]),
            "placement": dice.choice(["home", "cart", None]) if kind == "impression" else None,
            "position": dice.choice([0, 4, 40]) if kind == "impression" else None,
            "location": dice.choice([None, "US-CA", "de", "nowhere"]),
            "device": dice.choice([None, "tv", "fridge"]),
            "watch_duration": dice.choice([2.5, 90.0]) if watched else None,
            "total_duration": 60.0 if watched else None,
        }
        found.append(row)
    assert at < NOW
    return found


def event_of(number: int, row: dict[str, Any]) -> Interaction:
    """Return a row as the event that a client would have tracked when it happened."""
    given = {name: value for name, value in row.items() if value is not None}
    metadata = {name: given[name] for name in ("watch_duration", "total_duration") if name in given}
    if "value" in given:
        metadata["rating" if row["event_type"] == "rating" else "price"] = given["value"]
    names = ("request_id", "placement", "position", "location", "device")
    return Interaction(
        event_id=f"e{number}",
        timestamp=row["timestamp"],
        ingested_at=row["timestamp"],
        user_id=row["user_id"],
        item_id=row["item_id"],
        event_type=row["event_type"],
        context=EventContext(**{name: given[name] for name in names if name in given}),
        metadata=metadata,
    )


def profile(user: str) -> Profile:
    """Return what a user said of themselves."""
    return Profile(user_id=user, country=HOMES[user], birth_year=1990)


async def world(folder: Path, partitions: int) -> World:
    """Return stores that know the items."""
    folder.mkdir()
    made = World(folder / "lake", partitions=partitions, clock=FixedClock(NOW))
    await made.catalog.resolve(ITEMS, 0)
    return made


async def imported(folder: Path, partitions: int, rows: list[dict[str, Any]]) -> World:
    """Import rows and users from files; every other user was known before."""
    made = await world(folder, partitions)
    for user in USERS[::2]:
        said = ProfileUpdated(event_id=f"p{user}", timestamp=1, ingested_at=1, profile=profile(user))
        await made.record(said)
    lines = [",".join("" if row[name] is None else str(row[name]) for name in COLUMNS) for row in rows]
    (folder / "rows.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    people = [f"{user},{HOMES[user] or ''},1990" for user in USERS[1::2]]
    (folder / "users.csv").write_text("\n".join(["user_id,country,birth_year", *people]) + "\n")
    mapping = parse_mapping(
        {
            "source": "s",
            "interactions": {"path": "rows.csv", "columns": {name: name for name in COLUMNS}},
            "users": {"path": "users.csv", "columns": {name: name for name in ("user_id", "country", "birth_year")}},
        },
        folder,
    )
    stores = ImportStores(made.catalog, made.profiles, made.interactions, made.log, made.leases, made.lake)
    report = await run_import(mapping, stores, ImportOptions(clock=made.clock))
    assert (report.new, report.rejects) == (len(rows), {})
    await made.drain()
    return made


async def tracked(folder: Path, partitions: int, rows: list[dict[str, Any]]) -> World:
    """Track the same rows one by one."""
    made = await world(folder, partitions)
    for user in USERS:
        said = ProfileUpdated(event_id=f"p{user}", timestamp=1, ingested_at=1, profile=profile(user))
        await made.record(said)
    await made.record(*(event_of(number, row) for number, row in enumerate(rows)))
    await made.drain()
    return made


async def placements(made: World) -> dict[str, PlacementRecord]:
    """Return what placements showed and what came of it."""
    return {key: decode_placement(record.value) async for key, record in made.state.scan(PLACEMENT)}


async def countries(made: World) -> dict[str, bytes]:
    """Return the activity of items by country."""
    return {key: decode_country(record.value).counters async for key, record in made.state.scan(ITEM_COUNTRY)}


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("seed", range(3))
async def test_every_feature_is_as_if_the_rows_had_been_tracked(tmp_path: Path, seed: int, partitions: int) -> None:
    rows = rows_of(seed)
    bulk = await imported(tmp_path / "bulk", partitions, rows)
    live = await tracked(tmp_path / "live", partitions, rows)
    for ago in (0, HOUR, DAY, 20 * DAY):
        for user in USERS:
            moment = Moment(user, np.arange(len(ITEMS), dtype=np.int32), Context(time=rows[-1]["timestamp"] + ago))
            found = plain(await served(bulk.stores, moment, CATALOGUE))
            expected = plain(await served(live.stores, moment, CATALOGUE))
            for name in features():
                assert found[name] == expected[name], (name, user, ago)
    found = await countries(bulk)
    assert found == await countries(live)
    assert {key.split("/")[1] for key in found} == {"US", "DE", "FR"}
    found, expected = await placements(bulk), await placements(live)
    assert found == expected
    assert all(total > 0 for total in sum(record.columns() for record in expected.values()).sum(axis=1))

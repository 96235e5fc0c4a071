"""A scan of every store, row by row and file by file: nothing names a person who was forgotten, or what they said."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import lmdb
import msgspec
import numpy as np
import polars as pl
from tests.integration.ingest.stores import World, happened
from tests.integration.jobs.test_forgotten import CLOCK, NOW, STAMP, fold, recorded

from kindred.app.sections import StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.clock import FixedClock
from kindred.core.event import EventContext, Merged, ProfileErased, ProfileUpdated, Served, encode_event
from kindred.core.profile import Profile
from kindred.jobs.compaction import Compactor
from kindred.jobs.comparison import GROUPS
from kindred.jobs.config import LakeConfig, RetentionConfig
from kindred.jobs.forgotten_acts import ForgottenActs
from kindred.jobs.lake import LakeWriter
from kindred.jobs.retention import retain
from kindred.ports.log import DeadLetter

PERSON, COOKIE, OTHER_COOKIE, SECRET = "ann-7f3a", "cookie-91c2", "cookie-33d8", "words-nobody-else-says"
MARKS = [mark.encode() for mark in (PERSON, COOKIE, OTHER_COOKIE, SECRET)]


def life() -> list:
    """Return everything that can be told of a person, in two cookies' names and her own; and of another."""
    events = []
    for number, user in enumerate((PERSON, COOKIE, OTHER_COOKIE, "bob")):
        events += [
            happened(10 * number, user, "i1", "view", watch_duration=60.0, total_duration=100.0),
            happened(10 * number + 1, user, "i2", "purchase", price=2.5, note=SECRET if user != "bob" else ""),
            happened(10 * number + 2, user, "", "search", query=SECRET if user != "bob" else "shoes"),
            happened(10 * number + 3, user, "i1", "like"),
            Served(
                **STAMP, event_id=f"s{number}", user_id=user, request_id=f"rec_{number}", placement="home",
                bundle="b", items=["i1", "i2"], propensities=[1.0, 1.0], sources=["als", "als"],
            ),
        ]  # fmt: skip
    profile = Profile(user_id=PERSON, country="DE", attributes={"said": SECRET})
    return [
        *events,
        ProfileUpdated(**STAMP, event_id="p1", profile=profile),
        ProfileUpdated(**STAMP, event_id="p2", profile=Profile(user_id=COOKIE, attributes={"said": SECRET})),
        Merged(**STAMP, event_id="m1", user_id=OTHER_COOKIE, into=COOKIE),
        Merged(**STAMP, event_id="m2", user_id=COOKIE, into=PERSON),
        msgspec.structs.replace(happened(70, COOKIE, "i3", "click"), context=EventContext(session_id=SECRET)),
    ]


def erased() -> ProfileErased:
    """Return her wish."""
    return ProfileErased(event_id="gone", timestamp=NOW + 1_000, ingested_at=NOW + 1_000, user_id=PERSON)


def contents(home: Path) -> Iterator[tuple[str, bytes]]:
    """Go through all that stands in the files of a data folder, by the reader of each kind of file."""
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        name = path.relative_to(home).as_posix()
        if path.suffix == ".sqlite":
            with sqlite3.connect(path) as connection:
                for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    for row in connection.execute(f'SELECT * FROM "{table}"'):
                        for value in row:
                            yield f"{name}:{table}", value if isinstance(value, bytes) else str(value).encode()
        elif path.suffix == ".mdb":
            if path.name != "lock.mdb":
                with lmdb.open(str(path.parent), readonly=True, lock=False) as store, store.begin() as reading:
                    for key, value in reading.cursor():
                        yield name, key
                        yield name, value
        elif path.suffix == ".parquet":
            for row in pl.read_parquet(path, hive_partitioning=False).iter_rows():
                for value in row:
                    yield name, value if isinstance(value, bytes) else str(value).encode()
        elif path.suffix == ".npz":
            for column in np.load(path).values():
                yield name, column.tobytes()
        elif not path.name.endswith(("-wal", "-shm")):
            yield name, path.read_bytes()


def naming(home: Path) -> set[str]:
    """Return where anything is said that names the person."""
    return {place for place, value in contents(home) if any(mark in value for mark in MARKS)}


async def fill_and_erase(stores: Stores) -> None:
    """Let her live, be forgotten, and others go on."""
    placed = await recorded(stores, *life())
    await stores.traces.put([("rec_0", NOW, PERSON.encode())])
    await stores.dead_letters.bury([DeadLetter(placed[0], "a test", encode_event(life()[0]))])
    await LakeWriter(stores.log, stores.leases, stores.lake, clock=CLOCK).run()
    await recorded(stores, erased())
    # Whoever comes later keeps a log from ending with her.
    later = FixedClock(CLOCK.now())
    for number in range(3):
        await recorded(stores, msgspec.structs.replace(happened(90 + number, "bob", "i1"), ingested_at=later.now()))


async def test_no_store_of_a_data_folder_names_who_was_forgotten(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await fill_and_erase(stores)
    await stores.close()
    left = {place.partition(":")[0] for place in naming(home)}
    assert "state/data.mdb" not in left
    assert {place for place in left if not place.startswith("lake/")} <= {
        "events.sqlite", "dead_letters.sqlite", "traces.sqlite", "log.sqlite", "log/events.sqlite",
    }, "only what has a retention of its own"  # fmt: skip
    assert any(place.startswith("lake/") for place in left), "the scan finds what is there"

    stores = await open_stores(StoresConfig(), home)
    await LakeWriter(stores.log, stores.leases, stores.lake, clock=CLOCK).run()
    for later in (CLOCK, FixedClock(CLOCK.now() + 60_000)):
        compactor = Compactor(
            stores.leases, stores.lake, LakeConfig(keep_replaced=0), later, ForgottenActs(stores, clock=CLOCK)
        )
        await compactor.run()
    report = await retain(stores, RetentionConfig(log_days=1), CLOCK)
    assert report.waits == []
    await stores.close()
    assert naming(home) == set()


async def test_no_store_of_a_fleet_names_who_was_forgotten(tmp_path: Path) -> None:
    """Several partitions: her name is gone from the state, the items' log, history and profiles."""
    world = World(tmp_path / "lake", partitions=4)
    await world.record(*life())
    await world.drain()
    await world.record(erased())
    await world.drain()
    found: list[object] = []
    for group in GROUPS:
        found += [part async for key, record in world.state.scan(group) for part in (key.encode(), record.value)]
    for end in await world.item_log.ends():
        found += [record.data for record in await world.item_log.read(end._replace(offset=-1), 10_000)]
    found += [str(rows).encode() for rows in world.interactions._users.values()]
    found += [str(profile).encode() for profile in await world.profiles.page("", 100)]
    assert len(found) > 20
    assert [value for value in found if any(mark in value for mark in MARKS)] == []
    assert (await world.item("i1")).count("view") == 4, "items count what they counted"


async def test_the_scan_finds_a_name_wherever_it_is_put(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stores = await open_stores(StoresConfig(), home)
    await recorded(stores, *life())
    await fold(stores)
    await stores.close()
    places = {place.partition(":")[0] for place in naming(home)}
    assert {"state/data.mdb"} <= places
    assert len(places) >= 4, places

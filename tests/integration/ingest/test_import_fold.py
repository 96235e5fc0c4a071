"""The fold of an import marker: like tracking the same rows one by one, once whatever happens."""

import math

import numpy as np
import pytest
from tests.integration.ingest.stores import NOW, World, happened
from tests.unit.features.acts import meaning

from kindred.core.event import Imported
from kindred.core.profile import Profile
from kindred.ingest.fold_columns import FOLD_FOLDER, FoldColumns, import_folder

NAMES = ("view", "rating", "purchase")
USERS, ITEMS = [f"user{n}" for n in range(40)], [f"item{n}" for n in range(15)]


def rows_of(seed, count=1_500):
    """Draw rows (user, item, type, time, value)."""
    dice = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        kind = NAMES[dice.integers(3)]
        value = float(dice.integers(1, 6)) if kind == "rating" else math.nan
        at = NOW - int(dice.integers(0, 20 * 86_400)) * 1000
        found.append((USERS[dice.integers(40)], ITEMS[dice.integers(15)], kind, at, value))
    return found


async def write_import(world, import_id, rows, parts=2, profiles=None):
    """Leave the columns of an import in the lake, as the import does; return its marker."""
    await world.catalog.resolve(ITEMS, NOW)
    ordinals = await world.catalog.resolve(ITEMS, NOW)
    folder = import_folder(world.lake, import_id) / FOLD_FOLDER
    folder.mkdir(parents=True)
    users = sorted({row[0] for row in rows} | set(profiles or {}))
    for part in range(parts):
        mine = users[part::parts]
        chosen = [[row for row in rows if row[0] == user] for user in mine]
        flat = [row for group in chosen for row in group]
        FoldColumns(
            mine,
            np.cumsum([0, *map(len, chosen)]).astype(np.int64),
            np.array([ordinals[ITEMS.index(row[1])] for row in flat], np.int32),
            np.array([row[3] for row in flat], np.int64),
            np.array([NAMES.index(row[2]) for row in flat], np.uint8),
            np.array([row[4] for row in flat], np.float32),
            NAMES,
            [_profile(profiles, user) for user in mine],
        ).save(folder / f"part-{part:05d}.npz")
    return Imported(event_id=import_id, timestamp=NOW, ingested_at=NOW, import_id=import_id, source="s")


def _profile(profiles, user):
    import msgspec

    return msgspec.msgpack.encode(profiles[user]) if profiles and user in profiles else b""


def tracked(rows, first=0):
    """Turn rows into events that arrived when they happened."""
    import msgspec

    return [
        msgspec.structs.replace(
            happened(first + n, user, item, kind, at=at, **({"rating": value} if kind == "rating" else {})),
            ingested_at=at,
        )
        for n, (user, item, kind, at, value) in enumerate(rows)
    ]


async def records(world):
    """Return what state says of all users and items."""
    return (
        {user: meaning(await world.user(user)) for user in USERS},
        {item: getattr(await world.item(item), "counters", None) for item in ITEMS},
    )


async def test_an_import_equals_tracking_the_same_rows(tmp_path):
    """Users and items agree, with live events before and after the marker."""
    rows, live = rows_of(1), rows_of(2, 60)
    bulk, slow = World(tmp_path / "bulk"), World(tmp_path / "slow")
    marker = await write_import(bulk, "m1", rows)
    await slow.catalog.resolve(ITEMS, NOW)
    await bulk.record(*tracked(live[:30]), marker, *tracked(live[30:], 30))
    await slow.record(*tracked(live[:30]), *tracked(rows, 1_000), *tracked(live[30:], 30))
    await bulk.drain()
    await slow.drain()
    assert await records(bulk) == await records(slow)


@pytest.mark.parametrize("crashes", [[0], [1], [3], [4], [5], [1, 2], [4, 0, 1]])
async def test_an_import_cut_short_is_finished_by_the_next_run(tmp_path, crashes):
    """The state dies after so many writes (four of users, one of items, the last), then again: all is counted once."""
    rows = rows_of(3)
    world, calm = World(tmp_path / "torn"), World(tmp_path / "calm")
    for each in (world, calm):
        await each.record(await write_import(each, "m1", rows, parts=4))
    await calm.drain()
    (end,) = await world.log.ends()
    real = world.state._store.write
    for allowed in crashes:
        await _interrupted(world, end, real, allowed)
    world.state._store.write = real
    await world.drain()
    assert await records(world) == await records(calm)


async def _interrupted(world, end, real, allowed):
    """Drain with a state that dies after `allowed` writes."""
    written = 0

    async def write(writes, watermark, standing=None):
        nonlocal written
        if written == allowed:
            raise ConnectionError("state died")
        written += 1
        return await real(writes, watermark, standing)

    world.state._store.write = write
    with pytest.raises(ConnectionError):
        await world.consumer().drain_to(end, timeout=60)


async def test_a_second_marker_of_one_import_changes_nothing(tmp_path):
    """A crash of the import between append and manifest may leave two."""
    world = World(tmp_path)
    marker = await write_import(world, "m1", rows_of(4, 200))
    await world.record(marker)
    await world.drain()
    before = await records(world)
    await world.record(marker)
    await world.drain()
    assert await records(world) == before


async def test_profiles_of_an_import_reach_the_records(tmp_path):
    """Also those of users without a single row."""
    world = World(tmp_path)
    profiles = {"user1": Profile(user_id="user1", country="DE"), "quiet": Profile(user_id="quiet")}
    await world.record(await write_import(world, "m1", rows_of(5, 100), profiles=profiles))
    await world.drain()
    assert (await world.user("user1")).profile == profiles["user1"]
    assert (await world.user("quiet")).profile == profiles["quiet"]
    assert (await world.user("quiet")).interactions == 0


async def test_unreadable_columns_are_a_dead_letter_and_the_stream_goes_on(tmp_path):
    """A lake that was deleted does not stop the events behind the marker."""
    world = World(tmp_path)
    marker = await write_import(world, "m1", rows_of(6, 50))
    for path in (import_folder(world.lake, "m1") / FOLD_FOLDER).iterdir():
        path.write_bytes(b"not columns")
    await world.record(marker, happened(0, "ann", "item1"))
    await world.drain()
    (letter,) = await world.letters.letters(None, 10)
    assert letter.reason.startswith("import_unreadable: ")
    assert (await world.user("ann")).interactions == 1

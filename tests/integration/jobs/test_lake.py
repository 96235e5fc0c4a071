"""The lake holds what the log held, once, whatever happens on the way; training reads both as if they were one."""

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.integration.jobs.stores import DAY, HOUR, NOW, Stores, bought, in_memory, listed, logged

from kindred.core.errors import LeaseHeld, StoreUnavailable
from kindred.core.event import EventContext, HistoryRemoved, Interaction, Merged, ProfileErased, ProfileUpdated, Served
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ingest.importing.lake import Lake
from kindred.jobs import lake_files
from kindred.jobs.config import LakeConfig
from kindred.jobs.lake import LEASE, LakeWriter
from kindred.training.collect import collect, positions
from kindred.training.lake_events import LakeEvents

SMALL = LakeConfig(step_rows=7)


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
def stores(request: pytest.FixtureRequest, tmp_path) -> Stores:
    return in_memory(tmp_path, request.param)


def writer(stores: Stores) -> LakeWriter:
    return LakeWriter(stores.log, stores.leases, stores.lake, SMALL)


def held(stores: Stores) -> list[tuple[int, int, int, bytes]]:
    """Return every record that the lake's manifest vouches for."""
    lake = LakeEvents(stores.lake)
    rows = lake.scan(lake.manifest().files).select("epoch", "partition", "offset", "raw").collect()
    return sorted(rows.rows())


async def in_log(stores: Stores) -> list[tuple[int, int, int, bytes]]:
    found = []
    for end in await stores.log.ends():
        records = await stores.log.read(end._replace(offset=-1), 10_000)
        found += [(*record.position, record.data) for record in records]
    return sorted(found)


async def mixed(stores: Stores, count: int = 40) -> None:
    """Append events of several hours, records of other kinds, and bytes that are no event."""
    for n in range(count):
        await logged(stores.log, bought(f"u{n % 7}", f"i{n % 5}", n, NOW + n * HOUR // 10))
    await logged(
        stores.log,
        ProfileUpdated(event_id="p1", timestamp=NOW, ingested_at=NOW, profile=Profile(user_id="u1", country="DE")),
        Served(
            event_id="s1", timestamp=NOW, ingested_at=NOW, user_id="u1", request_id="rec_1", placement="home",
            bundle="b1", items=["i1"], propensities=[1.0], sources=["als"],
        ),
    )  # fmt: skip
    await stores.log.append([("u2", b"\xc1 no event")])


async def test_every_record_stands_in_the_lake_once_with_its_bytes(stores: Stores) -> None:
    await mixed(stores)
    report = await writer(stores).run()
    assert held(stores) == await in_log(stores)
    assert report.rows == 43
    assert (await writer(stores).run()).rows == 0
    await logged(stores.log, bought("u1", "i1", 99))
    assert (await writer(stores).run()).rows == 1
    assert held(stores) == await in_log(stores)


async def test_rows_say_what_the_event_said(stores: Stores) -> None:
    await mixed(stores, 3)
    await writer(stores).run()
    lake = LakeEvents(stores.lake)
    files = lake.manifest().files
    rows = lake.scan(files).collect()
    row = rows.filter(pl.col("event_id") == "e2").row(0, named=True)
    assert (row["user_id"], row["item_id"], row["event_type"], row["value"]) == ("u2", "i2", "purchase", 2.0)
    assert (row["request_id"], row["placement"], row["slot"], row["device"]) == ("rec_1", "home", 3, "tv")
    assert (row["country"], msgspec.json.decode(row["metadata"])) == ("DE", {"price": 2.0})
    assert sorted(rows["kind"].unique()) == ["interaction", "profile", "served", "unreadable"]
    assert all(lake.path(file).match("date=2023-11-14/hour=*/*.parquet") for file in files)


@pytest.mark.parametrize("moment", ["a file is written", "the manifest is replaced"])
async def test_a_step_cut_off_anywhere_neither_loses_nor_doubles(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    await mixed(stores)
    name = "write_all" if moment == "a file is written" else "commit"
    whole = getattr(lake_files.LakeFolder, name)
    for survived in (0, 1, 2, 3):
        calls = iter(range(100))

        def failing(self, *arguments, calls=calls, survived=survived, **named):  # type: ignore[no-untyped-def]
            if next(calls) == survived:
                raise OSError("cut off")
            return whole(self, *arguments, **named)

        monkeypatch.setattr(lake_files.LakeFolder, name, failing)
        with pytest.raises(OSError, match="cut off"):
            await writer(stores).run()
        monkeypatch.undo()
    await writer(stores).run()
    assert held(stores) == await in_log(stores)
    files = LakeEvents(stores.lake).manifest().files
    assert len(list(stores.lake.rglob("*.parquet"))) == len(files), "no file is left that nobody knows"


async def test_files_without_their_manifest_are_not_deleted(stores: Stores) -> None:
    await mixed(stores, 3)
    await writer(stores).run()
    (stores.lake / "events" / "manifest.json").unlink()
    with pytest.raises(StoreUnavailable, match="restore it from a backup"):
        await writer(stores).run()
    assert list(stores.lake.rglob("*.parquet"))


async def test_one_process_writes(stores: Stores) -> None:
    await stores.leases.acquire(LEASE, "another")
    with pytest.raises(LeaseHeld, match="another"):
        await writer(stores).run()


async def test_what_the_log_had_dropped_already_is_said(tmp_path) -> None:
    stores = in_memory(tmp_path)
    await mixed(stores, 10)
    await stores.log.trim(Position(0, 0, 5))
    kept = (await stores.log.read(Position(0, 0, -1), 1))[0].position.offset
    assert kept > 0
    assert (await writer(stores).run()).lost == kept


def rows_of(data) -> list[tuple[str, int, int, float]]:  # type: ignore[no-untyped-def]
    found = data.interactions
    users = [data.user_ids[user] for user in found.users.tolist()]
    values = np.nan_to_num(found.values, nan=-1).tolist()
    return sorted(zip(users, found.items.tolist(), found.timestamps.tolist(), values, strict=True))


async def eventful(stores: Stores) -> None:
    """Append everything that changes what training sees: repeats, erasures, a merge, removals."""
    at = {"timestamp": NOW + HOUR, "ingested_at": NOW + HOUR}
    await logged(stores.log, *(bought(f"u{n % 4}", f"i{n % 5}", n) for n in range(20)))
    await logged(stores.log, bought("u1", "i3", 1, NOW + 1), bought("anon", "i7", 50), bought("u9", "i8", 51))
    await logged(stores.log, bought("u1", "i4", 1, NOW + 2 * DAY))
    await logged(stores.log, ProfileErased(event_id="x1", user_id="u0", **at))
    await logged(stores.log, Merged(event_id="m1", user_id="anon", into="u3", **at))
    await logged(stores.log, bought("u3", "i7", 50, NOW + 2 * HOUR), bought("u0", "i2", 60, NOW + 2 * HOUR))
    await logged(stores.log, bought("u2", "i9", 61, kind="like"), bought("u2", "i6", 62, kind="like"))
    await logged(stores.log, HistoryRemoved(event_id="r1", user_id="u2", item_id="i9", reactions=True, **at))
    await logged(stores.log, HistoryRemoved(event_id="r2", user_id="u9", item_id="i8", **at))
    await logged(stores.log, bought("u5", "i1", 70, kind="impression"), bought("u5", "i2", 71, kind="click"))


async def test_training_reads_the_same_from_the_log_the_lake_and_both(stores: Stores) -> None:
    await listed(stores.catalog)
    await eventful(stores)
    from_log = await collect(stores)
    expected = rows_of(from_log)
    users = {row[0] for row in expected}
    assert "anon" not in users
    assert [row[1] for row in expected if row[0] == "u0"] == [2], "what came after the erasure counts"
    assert [row[1] for row in expected if row[0] == "u3"].count(7) == 1, "a merged event counts once"
    assert [row[1] for row in expected if row[0] == "u2" and row[1] in (6, 9)] == [6]
    assert "u9" not in users
    assert [row[1] for row in expected if row[0] == "u5"] == [2]
    assert len([row for row in expected if row[0] == "u1"]) == 6, "five, and one that came again after a day"
    await writer(stores).run()
    from_lake = await collect(stores)
    assert rows_of(from_lake) == expected
    assert from_lake.position == from_log.position
    for end in await stores.log.ends():
        await stores.log.trim(end)
    assert rows_of(await collect(stores)) == expected
    await logged(stores.log, bought("u8", "i1", 80))
    assert rows_of(await collect(stores)) == sorted([*expected, ("u8", 1, NOW, 80.0)])


@pytest.mark.parametrize("in_lake", [False, True])
async def test_rows_since_a_position(stores: Stores, in_lake: bool) -> None:
    await listed(stores.catalog)
    await eventful(stores)
    since = positions((await collect(stores)).position)
    await logged(stores.log, bought("u1", "i1", 90, NOW + DAY), bought("u7", "i2", 91, NOW + DAY))
    if in_lake:
        await writer(stores).run()
    data = await collect(stores, since)
    assert [row[:2] for row in rows_of(data)] == [("u1", 1), ("u7", 2)]
    assert Lake(stores.lake).manifests() == []


async def test_slots_are_read_from_lake_and_log_where_they_are_asked_for(stores: Stores) -> None:
    """What stood first is followed every time, what stood second every other time; forgotten people do not count."""
    for n in range(160):
        user, request = f"u{n % 8}", f"rec_{n}"
        await logged(
            stores.log,
            Served(
                event_id=f"s{n}", timestamp=NOW, ingested_at=NOW, user_id=user, request_id=request, placement="home",
                bundle="b1", items=["i1", "i2"], propensities=[0.1, 0.1], sources=["new", "new"],
            ),
            *(followed(user, item, request, n) for item in (("i1", "i2") if n % 2 else ("i1",))),
        )  # fmt: skip
        if n == 80:
            await writer(stores).run()
    await listed(stores.catalog, 5)
    asked = (await collect(stores, slots=True)).examined
    assert asked is not None
    np.testing.assert_allclose(asked, [1.0, 0.5])
    assert (await collect(stores)).examined is None
    # Those with even numbers never followed a second place.
    for user in ("u0", "u2"):
        await logged(stores.log, ProfileErased(event_id=f"e{user}", timestamp=NOW, ingested_at=NOW, user_id=user))
    left = (await collect(stores, slots=True)).examined
    assert left is not None
    np.testing.assert_allclose(left, [1.0, 4 / 6])


def followed(user: str, item: str, request: str, n: int) -> Interaction:
    """Return a click on an item of a slate."""
    return Interaction(
        event_id=f"c{n}-{item}", timestamp=NOW, ingested_at=NOW, user_id=user, item_id=item, event_type="click",
        context=EventContext(request_id=request),
    )  # fmt: skip

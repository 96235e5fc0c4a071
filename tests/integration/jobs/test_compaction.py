"""Compaction changes how the lake is stored, and what it still knows of forgotten people; nothing else."""

from typing import Any

import polars as pl
import pytest
from tests.integration.jobs.stores import DAY, HOUR, NOW, Stores, bought, in_memory, listed, logged
from tests.integration.jobs.test_lake import eventful, held, in_log, rows_of, writer

from kindred.core.clock import FixedClock
from kindred.core.event import Imported, Merged, ProfileErased
from kindred.core.position import Position
from kindred.jobs import lake_files
from kindred.jobs.compaction import CompactionReport, Compactor
from kindred.jobs.config import LakeConfig
from kindred.jobs.erasures import person_digest
from kindred.training.collect import collect
from kindred.training.lake_events import LakeEvents

LATER = FixedClock(NOW + 30 * DAY)


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
def stores(request: pytest.FixtureRequest, tmp_path) -> Stores:
    return in_memory(tmp_path, request.param)


async def compacted(stores: Stores, file_rows: int = 1_000, clock: FixedClock = LATER) -> CompactionReport:
    return await Compactor(stores.leases, stores.lake, LakeConfig(file_rows=file_rows), clock).run()


def rows(stores: Stores) -> pl.DataFrame:
    lake = LakeEvents(stores.lake)
    return lake.scan(lake.manifest().files).collect()


async def test_hours_become_few_files_with_the_same_rows(stores: Stores) -> None:
    for n in range(60):
        await logged(stores.log, bought(f"u{n % 7}", "i1", n, NOW + n * HOUR // 20))
    await writer(stores).run()
    before = len(LakeEvents(stores.lake).manifest().files)
    report = await compacted(stores)
    manifest = LakeEvents(stores.lake).manifest()
    assert held(stores) == await in_log(stores)
    assert report.files_after == len(manifest.files) < before
    assert len({(file.hour, file.partition) for file in manifest.files}) == len(manifest.files)
    assert all(file.compacted for file in manifest.files)
    again = await compacted(stores)
    assert (again.hours, again.files_after) == (0, report.files_after)


async def test_the_present_hour_is_left_alone(stores: Stores) -> None:
    for n in range(20):
        await logged(stores.log, bought(f"u{n % 7}", "i1", n))
    await writer(stores).run()
    assert (await compacted(stores, clock=FixedClock(NOW + 60_000))).hours == 0


async def test_what_comes_late_to_a_closed_hour_is_merged_then(stores: Stores) -> None:
    for n in range(20):
        await logged(stores.log, bought(f"u{n % 7}", "i1", n))
    await writer(stores).run()
    await compacted(stores)
    await logged(stores.log, bought("u1", "i1", 77), bought("u1", "i1", 3))
    await writer(stores).run()
    assert (await compacted(stores)).repeats == (0 if 3 % 7 != 1 else 1)
    assert held(stores) == await in_log(stores)


async def test_repeats_are_marked_within_a_day_of_the_first(stores: Stores) -> None:
    for arrived in (0, 20 * HOUR, 40 * HOUR, 41 * HOUR):
        await logged(stores.log, bought("ann", "i1", 1, NOW + arrived), bought("bob", "i1", 1 + arrived, NOW + arrived))
    await writer(stores).run()
    report = await compacted(stores)
    ann = rows(stores).filter(pl.col("user_id") == "ann").sort("ingested_at")
    assert ann["duplicate"].to_list() == [False, True, False, True]
    assert report.repeats == 2
    assert not rows(stores).filter(pl.col("user_id") == "bob")["duplicate"].any()


async def test_who_was_merged_after_a_request_to_be_forgotten_is_not_forgotten_with_it(stores: Stores) -> None:
    """The person came back: what their device did before belongs to them from the merge on, whatever its age."""
    await listed(stores.catalog)
    day = iter(range(1, 10))

    def stamp(name: str) -> dict[str, Any]:
        moment = NOW + next(day) * DAY
        return {"event_id": name, "timestamp": moment, "ingested_at": moment}

    await logged(
        stores.log,
        bought("anon", "i1", 1),
        bought("other", "i2", 2),
        bought("ann", "i3", 3),
        Merged(**stamp("m0"), user_id="other", into="ann"),
        ProfileErased(**stamp("x1"), user_id="ann"),
        Merged(**stamp("m1"), user_id="anon", into="ann"),
        ProfileErased(**stamp("x2"), user_id="other", follows=True),
        bought("other", "i4", 4, NOW + 8 * DAY),
        Merged(**stamp("m2"), user_id="other", into="bob"),
    )
    await writer(stores).run()
    expected = rows_of(await collect(stores))
    assert [(row[0], row[1]) for row in expected] == [("ann", 1), ("bob", 4)]
    await compacted(stores)
    left = rows(stores).filter(pl.col("kind") == "interaction")
    assert sorted(left["item_id"]) == ["i1", "i4"]
    assert rows_of(await collect(stores)) == expected


async def test_forgotten_people_leave_a_hash_alone(stores: Stores) -> None:
    await listed(stores.catalog)
    await eventful(stores)
    await logged(
        stores.log,
        Merged(event_id="m2", user_id="veiled", into="u1", timestamp=NOW, ingested_at=NOW),
        bought("veiled", "i2", 95),
        ProfileErased(event_id="x2", user_id="u1", timestamp=NOW + 3 * DAY, ingested_at=NOW + 3 * DAY),
        bought("u1", "i11", 96, NOW + 4 * DAY),
    )
    await writer(stores).run()
    expected = rows_of(await collect(stores))
    assert [row[1] for row in expected if row[0] == "u1"] == [11]
    report = await compacted(stores)
    assert report.erased_people == 3
    left = rows(stores)
    for forgotten, kept in (("u0", 1), ("u1", 1), ("veiled", 0)):
        assert len(left.filter(pl.col("user_id") == forgotten)) == kept
        said = left.filter((pl.col("kind") != "interaction") & pl.col("raw").is_not_null())
        assert not said["raw"].bin.contains(forgotten.encode()).any()
    asked = left.filter(pl.col("kind") == "erased")
    assert set(asked["metadata"]) == {f'{{"person":"{person_digest(user)}"}}' for user in ("u0", "u1")}
    for end in await stores.log.ends():
        await stores.log.trim(end)
    assert rows_of(await collect(stores)) == expected
    assert (await compacted(stores)).erased_rows == 0
    for path in stores.lake.rglob("*.parquet"):
        name = path.relative_to(stores.lake / "events").as_posix()
        assert name in {file.path for file in LakeEvents(stores.lake).manifest().files} | set(
            LakeEvents(stores.lake).manifest().retired
        )


async def test_replaced_files_go_after_a_while(stores: Stores) -> None:
    for n in range(30):
        await logged(stores.log, bought(f"u{n % 7}", "i1", n))
    await writer(stores).run()
    await compacted(stores)
    await compacted(stores, clock=FixedClock(LATER.time_ms + 2 * HOUR))
    manifest = LakeEvents(stores.lake).manifest()
    assert manifest.retired == {}
    assert len(list(stores.lake.rglob("*.parquet"))) == len(manifest.files)


async def test_a_compaction_cut_off_anywhere_is_done_again(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    await listed(stores.catalog)
    await eventful(stores)
    await writer(stores).run()
    expected, cut = rows_of(await collect(stores)), 0
    cut = 0
    for name in ("write_all", "commit"):
        whole = getattr(lake_files.LakeFolder, name)
        for survived in range(0, 12, 2):
            calls = iter(range(1_000))

            def failing(self, *arguments, calls=calls, survived=survived, whole=whole, **named):  # type: ignore[no-untyped-def]
                if next(calls) == survived:
                    raise OSError("cut off")
                return whole(self, *arguments, **named)

            monkeypatch.setattr(lake_files.LakeFolder, name, failing)
            try:
                await compacted(stores)
            except OSError:
                cut += 1
            monkeypatch.undo()
            assert rows_of(await collect(stores)) == expected
    assert cut >= 2
    assert cut > 3
    await compacted(stores)
    assert rows_of(await collect(stores)) == expected
    assert not rows(stores)["user_id"].eq("u0").any() or rows(stores).filter(pl.col("user_id") == "u0").height == 1


async def test_people_leave_imports_but_their_row_ids_stay(tmp_path) -> None:
    from tests.integration.training.test_run import imported

    stores = in_memory(tmp_path)
    await listed(stores.catalog)
    imported(stores, [("ann", 0), ("bob", 1), ("ann", 2)], "0.0.0")  # type: ignore[arg-type]
    marker = Imported(event_id="imp_1", timestamp=NOW, ingested_at=NOW, import_id="imp_1", source="shop")
    await logged(stores.log, marker, ProfileErased(event_id="x", user_id="ann", timestamp=NOW + 1, ingested_at=NOW + 1))
    await writer(stores).run()
    assert [row[0] for row in rows_of(await collect(stores))] == ["bob"]
    assert (await compacted(stores)).erased_rows == 2
    (part,) = (stores.lake / "interactions").rglob("*.parquet")
    frame = pl.read_parquet(part, hive_partitioning=False)
    assert frame["user_id"].to_list() == [None, "bob", None]
    assert frame["row_id"].null_count() == 0
    assert [row[0] for row in rows_of(await collect(stores))] == ["bob"]
    assert Position(0, 0, 1) == LakeEvents(stores.lake).manifest().ends()[0]

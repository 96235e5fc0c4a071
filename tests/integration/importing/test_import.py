"""Whole imports into stores in memory."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kindred.core.clock import FixedClock
from kindred.core.errors import InvalidInput, LeaseHeld
from kindred.core.event import Imported, decode_event
from kindred.core.position import START, Position
from kindred.ingest.fold_columns import read_fold
from kindred.ingest.importing import (
    ImportOptions,
    ImportReport,
    ImportStores,
    Progress,
    load_mapping,
    parse_mapping,
    run_import,
    sample_mapping,
)

from .conftest import EVENTS, write_events

DAY = 86_400_000
NOW = 1_750_000_000_000
BARE = {"user_id": "u", "item_id": "i", "event_type": {"constant": "view"}}


async def load(folder: Path, stores: ImportStores, **options: Any) -> ImportReport:
    return await run_import(
        load_mapping(folder / "mapping.toml"), stores, ImportOptions(clock=FixedClock(NOW), **options)
    )


async def load_csv(tmp_path: Path, stores: ImportStores, text: str, **changes: Any) -> ImportReport:
    (tmp_path / "a.csv").write_text(text)
    table = {"path": "a.csv", "columns": BARE} | changes
    mapping = parse_mapping({"source": "bare", "interactions": table}, tmp_path)
    return await run_import(mapping, stores, ImportOptions(clock=FixedClock(NOW)))


async def markers(stores: ImportStores) -> list[Imported]:
    events = [decode_event(record.data) for record in await stores.log.read(START, 100)]
    return [event for event in events if isinstance(event, Imported)]


async def test_a_shop_lands_in_every_store(shop: Path, stores: ImportStores) -> None:
    report = await load(shop, stores)
    assert (report.read, report.new, report.known, report.rejected) == (6, 4, 0, 0)
    assert report.left_out == {"cancellation": 1, "taken back by a cancellation": 1}
    assert (report.items, report.users, report.position) == (2, 2, Position(0, 0, 0))
    cup, pen, unknown = await stores.catalog.get(["1", "2", "3"])
    assert cup is not None
    assert (cup.item.title, cup.item.categories, cup.item.attributes) == ("Cup", ["kitchen", "new"], {"year": 2020})
    assert cup.item.created == report.first
    assert pen is not None
    assert pen.listed
    assert unknown is not None
    assert not unknown.listed
    bought = await stores.interactions.by_user("ann", 10)
    assert [(row.item, row.event_type, row.value) for row in bought] == [(cup.ordinal, "purchase", 2.5)] * 2
    (anonymous,) = await stores.interactions.by_user("anon:b5", 10)
    assert anonymous.timestamp is None
    (profile,) = await stores.profiles.get(["ann"])
    assert profile is not None
    assert profile.country == "DE"
    (marker,) = await markers(stores)
    assert (marker.import_id, marker.source, marker.interactions) == (report.import_id, "shop", 4)


async def test_lake_and_fold_columns_hold_the_same_rows_as_the_history(shop: Path, stores: ImportStores) -> None:
    report = await load(shop, stores)
    assert report.import_id is not None
    lake = pl.read_parquet(stores.lake / "interactions" / "source=shop" / f"import={report.import_id}" / "*.parquet")
    folded = Counter(
        (user, int(fold.ordinals[row]), fold.names[fold.types[row]], int(fold.timestamps[row]))
        for fold in read_fold(stores.lake, report.import_id)
        for index, user in enumerate(fold.users)
        for row in range(fold.starts[index], fold.starts[index + 1])
    )
    assert folded == Counter(lake.select("user_id", "ordinal", "event_type", "timestamp").rows())
    for user in set(lake["user_id"]):
        history = {row.row_id for row in await stores.interactions.by_user(user, 10)}
        assert history == set(lake.filter(user_id=user)["row_id"])
    assert lake["ingested_at"].equals(lake["timestamp"], check_names=False)


async def test_twice_is_once(shop: Path, stores: ImportStores) -> None:
    await load(shop, stores)
    before = await stores.catalog.changes_since(0, 100)
    again = await load(shop, stores)
    assert (again.new, again.known, again.changed_users, again.import_id) == (0, 4, 0, None)
    assert len(await markers(stores)) == 1
    assert (await stores.interactions.counts())[0] == 4
    assert await stores.catalog.changes_since(0, 100) == before


async def test_a_grown_file_brings_only_what_is_new(shop: Path, stores: ImportStores) -> None:
    await load(shop, stores)
    late_return = EVENTS[0] | {"did": "returned", "when": "2024-02-01T10:00:00Z", "n": -2}
    write_events(shop, [*EVENTS, EVENTS[0], EVENTS[2] | {"when": "2024-02-02T10:00:00Z"}, late_return])
    (shop / "users.csv").write_text("id,country\nann,AT\nzoe,FR\n")
    report = await load(shop, stores)
    assert (report.new, report.changed_users) == (1, 1)
    assert (report.known, report.taken_back_late) == (4, 0)
    assert report.left_out["taken back by a cancellation"] == 2
    write_events(shop, [*EVENTS, EVENTS[2] | {"when": "2024-02-02T10:00:00Z"}, late_return])
    report = await load(shop, stores)
    assert (report.new, report.known, report.taken_back_late) == (0, 5, 1)


async def test_the_formats_agree(shop: Path, stores: ImportStores, tmp_path: Path) -> None:
    rows = []
    for ending in ("jsonl", "csv", "parquet", "csv.gz", "jsonl.gz"):
        frame = pl.DataFrame(EVENTS)
        path = shop / f"events-{ending}"
        path.mkdir()
        match ending:
            case "parquet":
                frame.write_parquet(path / "a.parquet")
            case "csv" | "csv.gz":
                frame.write_csv(path / f"a.{ending}", compression="gzip" if "gz" in ending else "uncompressed")
            case _:
                frame.write_ndjson(path / f"a.{ending}", compression="gzip" if "gz" in ending else "uncompressed")
        text = (shop / "mapping.toml").read_text().replace("events.jsonl", path.name)
        (shop / "other.toml").write_text(text)
        fresh = ImportStores(stores.catalog, stores.profiles, stores.interactions, stores.log, stores.leases, path)
        report = await run_import(load_mapping(shop / "other.toml"), fresh, ImportOptions(clock=FixedClock(NOW)))
        lake = pl.read_parquet(path / "interactions" / "source=shop" / f"import={report.import_id}" / "*.parquet")
        rows.append(lake.sort("row_id"))
    assert all(other.equals(rows[0]) for other in rows[1:])
    assert (await stores.interactions.counts())[0] == 4


async def test_bad_rows_go_to_the_reject_file_with_line_and_reason(tmp_path: Path, stores: ImportStores) -> None:
    text = (
        "u,i,t,v\nann,x,100,1\n,x,100,1\nann,,100,1\nann,x,soon,1\nann,x,99999999999,1\nann,x,100,nan\nann,x,100,-1\n"
    )
    text += f"{'a' * 129},x,100,1\nann,x,100,11\nann,x,100,\nann,x\nbob,x,-5,1\n"
    columns = BARE | {"event_type": {"constant": "rating"}, "timestamp": "t", "value": "v"}
    report = await load_csv(tmp_path, stores, text, columns=columns)
    assert (report.read, report.new, report.rejected) == (12, 1, 11)
    assert report.reject_file is not None
    bad = [json.loads(line) for line in report.reject_file.read_text().splitlines()]
    assert {entry["line"]: entry["reason"] for entry in bad} == {
        3: "missing user_id",
        4: "missing item_id",
        5: "bad timestamp",
        6: "timestamp in the future",
        7: "bad value",
        8: "bad value",
        9: "bad user_id",
        10: "rating out of range",
        11: "rating without value",
        12: "malformed row",
        13: "bad timestamp",
    }
    assert all(entry["file"].endswith("a.csv") and entry["detail"] and entry["row"] for entry in bad)
    assert report.rejects == dict(Counter(entry["reason"] for entry in bad))


async def test_strict_stops_at_the_first_bad_row_and_leaves_nothing(shop: Path, stores: ImportStores) -> None:
    write_events(shop, [*EVENTS, EVENTS[0] | {"when": "soon"}])
    with pytest.raises(InvalidInput, match="line 7: bad timestamp"):
        await load(shop, stores, strict=True)
    assert (await stores.interactions.counts())[0] == 0
    assert await markers(stores) == []
    assert (await load(shop, stores)).new == 4


async def test_items_and_users_are_checked_too(shop: Path, stores: ImportStores) -> None:
    (shop / "items.csv").write_text("id,name,cats,price,year\n1,Cup,,free,2020\n2,Pen,,1,\n2,Pencil,,1,\n,x,,1,\n")
    (shop / "users.csv").write_text("id,country\nann,Germany\nbob,DE\nbob,FR\n")
    report = await load(shop, stores)
    expected = {"bad price": 1, "repeated item_id": 1, "missing id": 1, "bad country": 1, "repeated user_id": 1}
    assert report.rejects == expected
    (pen,) = await stores.catalog.get(["2"])
    assert pen is not None
    assert pen.item.title == "Pen"
    (bob,) = await stores.profiles.get(["bob"])
    assert bob is not None
    assert bob.country == "DE"


async def test_items_known_from_interactions_alone_are_listed(tmp_path: Path, stores: ImportStores) -> None:
    report = await load_csv(tmp_path, stores, "u,i\n1,x\n1,x\n2,y\n")
    assert (report.new, report.items, report.first) == (3, 2, None)
    assert [(each.item.item_id, each.item.title) for each in await stores.catalog.page("", 10)] == [
        ("x", "x"),
        ("y", "y"),
    ]
    await stores.catalog.delete(["x"], NOW)
    await load_csv(tmp_path, stores, "u,i\n1,x\n1,x\n2,y\n3,x\n")
    assert [each.item.item_id for each in await stores.catalog.page("", 10)] == ["y"]


async def test_rows_are_left_out_by_expression_and_missing_users_dropped(tmp_path: Path, stores: ImportStores) -> None:
    text = "u,i,n\n1,a,1\n1,b,0\n,c,5\n1,d,many\n"
    report = await load_csv(tmp_path, stores, text, where="n > 0", missing_user="drop")
    assert (report.read, report.new, report.rejects) == (4, 1, {"bad where": 1})
    assert report.left_out == {"where": 1, "missing user_id": 1}


async def test_times_are_shifted_to_now_once_and_for_all(shop: Path, stores: ImportStores) -> None:
    write_events(shop, EVENTS[:3])
    report = await load(shop, stores, shift_to_now=True)
    assert report.last == NOW
    (newest,) = await stores.interactions.by_user("bob", 1)
    assert newest.timestamp == NOW
    later = ImportOptions(shift_to_now=True, clock=FixedClock(NOW + 9 * DAY))
    write_events(shop, [*EVENTS[:3], EVENTS[2] | {"when": "2024-01-05T10:00:00Z"}])
    again = await run_import(load_mapping(shop / "mapping.toml"), stores, later)
    assert (again.new, again.known, again.shift) == (1, 3, report.shift)
    assert again.last == NOW + 3 * DAY


async def test_only_allowed_event_types(shop: Path, stores: ImportStores) -> None:
    report = await load(shop, stores, event_types=frozenset({"purchase"}))
    assert report.rejects == {"unknown event_type": 2}


async def test_a_second_import_at_once_is_refused(shop: Path, stores: ImportStores) -> None:
    fence = await stores.leases.acquire("import", "somebody")
    assert fence is not None
    with pytest.raises(LeaseHeld, match="another import"):
        await load(shop, stores)
    await stores.leases.release("import", fence)
    assert (await load(shop, stores)).new == 4


async def test_types_that_do_not_fit_are_explained(tmp_path: Path, stores: ImportStores) -> None:
    pl.DataFrame({"u": [[1]], "i": ["a"]}).write_parquet(tmp_path / "a.parquet")
    mapping = parse_mapping({"source": "s", "interactions": {"path": "a.parquet", "columns": BARE}}, tmp_path)
    with pytest.raises(InvalidInput, match="source s: the files do not fit the mapping"):
        await run_import(mapping, stores)


async def test_the_sample_ends_now_and_says_whose_it_is(stores: ImportStores) -> None:
    told: list[Progress] = []
    options = ImportOptions(shift_to_now=True, clock=FixedClock(NOW))
    report = await run_import(sample_mapping(), stores, options, told.append)
    assert (report.new, report.items, report.rejected, report.last) == (100_836, 9_742, 0, NOW)
    assert "GroupLens" in report.notice
    assert {progress.step for progress in told} >= {"interactions", "items", "parts", "history"}
    assert max(progress.fraction for progress in told) == 1.0
    (film,) = await stores.catalog.get(["1"])
    assert film is not None
    assert "pixar" in film.item.tags

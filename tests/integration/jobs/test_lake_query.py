"""Questions to the lake."""

from pathlib import Path

import polars as pl
import pytest
from tests.integration.ingest.stores import NOW as LIVE
from tests.integration.ingest.stores import World, happened
from tests.integration.jobs.stores import NOW, Stores, bought, in_memory, listed, logged
from tests.integration.jobs.test_lake import writer
from tests.integration.training.test_run import imported

from kindred.core.errors import InvalidInput
from kindred.core.event import Merged
from kindred.jobs.compaction import Compactor
from kindred.jobs.lake import LakeWriter
from kindred.jobs.lake_query import printable, query
from kindred.training.collect import collect


@pytest.fixture
async def stores(tmp_path: Path) -> Stores:
    """Two imported rows; three tracked ones, one of which came twice."""
    stores = in_memory(tmp_path)
    await listed(stores.catalog, 3)
    imported(stores, [("ann", 0), ("bob", 1)], "0.0.0")  # type: ignore[arg-type]
    await logged(
        stores.log, bought("ann", "i1", 1), bought("ann", "i1", 1), bought("cyd", "i2", 2), bought("dan", "i2", 3)
    )
    await writer(stores).run()
    await Compactor(stores.leases, stores.lake).run()
    return stores


async def ask(stores: Stores, sql: str, limit: int = 0) -> list[tuple[object, ...]]:
    return (await query(stores.lake, stores.catalog, sql, limit)).rows()


async def test_tables_hold_events_interactions_and_items(stores: Stores) -> None:
    assert await ask(stores, "SELECT COUNT(*) FROM events WHERE kind = 'interaction'") == [(4,)]
    rows = await ask(stores, "SELECT source = 'tracked', COUNT(*) FROM interactions GROUP BY 1 ORDER BY 1")
    assert rows == [(False, 2), (True, 3)]
    joined = "SELECT i.title, COUNT(*) AS n FROM interactions x JOIN items i ON x.item_id = i.item_id"
    rows = await ask(stores, f"{joined} WHERE x.source = 'tracked' GROUP BY i.title ORDER BY n DESC")
    assert rows == [("thing 2", 2), ("thing 1", 1)]
    assert await ask(stores, "select user_id from interactions order by user_id", 2) == [("ann",), ("ann",)]


async def test_merged_people_are_one_and_what_was_told_again_for_them_counts_once(tmp_path: Path) -> None:
    """Along a chain too; the events themselves stand in the lake as they came."""
    world = World(tmp_path / "lake")
    stamp = {"timestamp": LIVE, "ingested_at": LIVE}
    for event in (
        happened(1, "phone", "i1"),
        Merged(event_id="m1", **stamp, user_id="phone", into="web"),
        happened(2, "phone", "i2"),
        Merged(event_id="m2", **stamp, user_id="web", into="ann"),
        happened(3, "phone", "i3"),
        happened(4, "ann", "i4"),
    ):
        await world.record(event)
        await world.drain()
    await LakeWriter(world.log, world.leases, world.lake).run()
    found = await query(world.lake, world.catalog, "SELECT user_id, item_id FROM interactions ORDER BY item_id")
    assert found.rows() == [("ann", f"i{n}") for n in range(1, 5)]
    found = await query(world.lake, world.catalog, "SELECT user_id FROM events WHERE item_id = 'i3' ORDER BY user_id")
    assert found.rows() == [("ann",), ("phone",), ("web",)]


async def test_imported_rows_are_under_the_name_of_the_known_user_too(stores: Stores) -> None:
    """In questions and in what models learn from."""
    await logged(stores.log, Merged(event_id="m1", timestamp=NOW, ingested_at=NOW, user_id="bob", into="ann"))
    await writer(stores).run()
    assert await ask(stores, "SELECT DISTINCT user_id FROM interactions WHERE source != 'tracked'") == [("ann",)]
    assert "bob" not in (await collect(stores)).user_ids


async def test_an_empty_lake_answers(tmp_path: Path) -> None:
    stores = in_memory(tmp_path)
    assert await ask(stores, "SELECT COUNT(*) FROM interactions") == [(0,)]
    assert await ask(stores, "SELECT * FROM events") == []
    assert await ask(stores, "SELECT * FROM items") == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nope FROM events", "nope"),
        ("SELECT * FROM evnts", "evnts"),
        ("SELECT", "expression"),
        ("DELETE FROM events", "SELECT"),
        ("SELECT 1; SELECT 2", "one"),
        ("", "SELECT"),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(stores: Stores, sql: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await query(stores.lake, stores.catalog, sql)


def test_every_kind_of_column_fits_a_cell() -> None:
    frame = pl.DataFrame(
        {"l": [["a", "b"]], "b": [b"\x01\xff"], "s": [{"x": 1}], "t": pl.Series([NOW], dtype=pl.Datetime("ms", "UTC"))}
    )
    assert printable(frame).rows() == [("a|b", "01ff", '{"x":1}', "2023-11-14T22:13:20.000Z")]

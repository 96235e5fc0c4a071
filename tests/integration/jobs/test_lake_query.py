"""Questions to the lake."""

from pathlib import Path

import polars as pl
import pytest
from tests.integration.jobs.stores import NOW, Stores, bought, in_memory, listed, logged
from tests.integration.jobs.test_lake import writer
from tests.integration.training.test_run import imported

from kindred.core.errors import InvalidInput
from kindred.jobs.compaction import Compactor
from kindred.jobs.lake_query import printable, query


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

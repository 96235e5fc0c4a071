"""Row ids, cancellations, parts by user, and the columns that the consumer folds."""

import errno
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.ingest.fold_columns import FoldColumns
from kindred.ingest.importing.cancellations import settle
from kindred.ingest.importing.parts import PartWorker
from kindred.ingest.importing.row_ids import row_id_array, with_row_ids
from kindred.ingest.importing.spill import ROWS_PER_PART, Spill

SCHEMA = {
    "user_id": pl.String,
    "item_id": pl.String,
    "event_type": pl.String,
    "session": pl.String,
    "timestamp": pl.Int64,
    "value": pl.Float64,
    "quantity": pl.Float64,
    "cancels": pl.Boolean,
}
NONE = pl.DataFrame(schema={"row_id": pl.Binary})
Row = tuple[str, str, str, str | None, int, float | None, float | None, bool]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["view", "purchase"]),
        st.sampled_from([None, "s1"]),
        st.integers(-1, 4),
        st.sampled_from([None, 1.0, 2.5]),
        st.sampled_from([None, 1.0, 3.0]),
        st.booleans(),
    ),
    max_size=30,
)


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def line(user: str, time: int, quantity: float | None = None, cancels: bool = False, kind: str = "purchase") -> Row:
    return (user, "x", kind, None, time, None, quantity, cancels)


def worker(shift: int = 0) -> PartWorker:
    ordinals = pl.DataFrame({"item_id": ["x", "y"], "ordinal": [7, 3]}, schema_overrides={"ordinal": pl.Int32})
    return PartWorker("src", ordinals, shift, "purchase")


@given(ROWS, st.randoms())
def test_row_ids_are_unique_and_do_not_depend_on_the_order_of_users(rows: list[Row], random: object) -> None:
    ids = with_row_ids(frame(rows), "src")["row_id"]
    assert ids.n_unique() == len(rows)
    by_user = sorted(rows, key=lambda row: row[0])
    assert set(with_row_ids(frame(by_user), "src")["row_id"]) == set(ids)
    assert not rows or set(with_row_ids(frame(rows), "other")["row_id"]).isdisjoint(ids)


def test_row_ids_keep_their_sixteen_bytes() -> None:
    ids = pl.Series([b"\x00" * 16, b"\x01" * 15 + b"\x00"], dtype=pl.Binary)
    assert row_id_array(ids).tolist() == ids.to_list()


def test_a_cancellation_takes_the_latest_earlier_purchase_of_enough() -> None:
    rows = [line("a", 1, 5), line("a", 2, 2), line("a", 3, -4, True), line("b", 1, 5), line("a", 9, 5)]
    settled = settle(frame(rows), "purchase")
    assert settled.taken_back["timestamp"].to_list() == [1]
    assert settled.kept.select("user_id", "timestamp").rows() == [("a", 2), ("b", 1), ("a", 9)]
    assert settled.unmatched == 0


def test_a_purchase_is_taken_back_once_and_only_by_later_cancellations() -> None:
    rows = [line("a", 5, -1, True), line("a", 6, 1), line("a", 7, -1, True), line("a", 8, -1, True)]
    settled = settle(frame(rows), "purchase")
    assert (len(settled.kept), len(settled.taken_back), settled.unmatched) == (0, 1, 2)


def test_other_events_are_not_taken_back() -> None:
    settled = settle(frame([line("a", 1, 1, kind="view"), line("a", 2, -1, True)]), "purchase")
    assert (len(settled.kept), settled.unmatched) == (1, 1)


@given(ROWS)
def test_every_row_of_a_part_is_accounted_for_and_a_second_time_is_nothing(rows: list[Row]) -> None:
    first = worker().work(frame(rows), NONE, {})
    assert len(first.rows) + first.taken_back + first.cancellations == len(rows)
    assert first.taken_back == first.cancellations - first.unmatched
    again = worker().work(frame(rows), first.rows.select("row_id") if len(first.rows) else NONE, {})
    assert (len(again.rows), again.known) == (0, len(first.rows))


@given(ROWS)
def test_fold_columns_hold_the_rows_of_each_user_in_order_of_time(rows: list[Row]) -> None:
    part = worker(shift=100).work(frame(rows), NONE, {"zz": b"profile"})
    fold = part.fold
    fold.check()
    assert fold.users[-1] == "zz"
    assert fold.profiles == [b""] * (len(fold.users) - 1) + [b"profile"]
    found = [
        (user, int(fold.ordinals[r]), fold.names[fold.types[r]], int(fold.timestamps[r]))
        for i, user in enumerate(fold.users)
        for r in range(fold.starts[i], fold.starts[i + 1])
    ]
    kept = settle(frame(rows), "purchase").kept
    moved = pl.when(pl.col("timestamp") == -1).then(-1).otherwise(pl.col("timestamp") + 100)
    expected = kept.with_columns(moved.alias("timestamp")).sort(["user_id", "timestamp"], maintain_order=True)
    ordinals = {"x": 7, "y": 3}
    assert found == [
        (user, ordinals[item], kind, time)
        for user, item, kind, time in expected.select("user_id", "item_id", "event_type", "timestamp").rows()
    ]


def test_fold_columns_come_back_as_written(tmp_path: Path) -> None:
    rows = [line("é", 1, 1), line("b", -1), line("b", 4, kind="view")]
    fold = worker().work(frame(rows), NONE, {"é": b"p"}).fold
    fold.save(tmp_path / "part.npz")
    read = FoldColumns.load(tmp_path / "part.npz")
    assert (read.users, read.names, read.profiles) == (fold.users, fold.names, fold.profiles)
    for name in ("starts", "ordinals", "timestamps", "types", "values"):
        np.testing.assert_array_equal(getattr(read, name), getattr(fold, name))


def test_damaged_fold_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    worker().work(frame([line("a", 1)]), NONE, {}).fold.save(path)
    path.write_bytes(path.read_bytes()[:-80])
    with pytest.raises(InvalidInput, match="not readable"):
        FoldColumns.load(path)


def test_parts_keep_a_users_rows_together_and_in_order(tmp_path: Path) -> None:
    spill = Spill(tmp_path, 5 * ROWS_PER_PART)
    users = [f"u{number % 50}" for number in range(1000)]
    everything = pl.DataFrame({"user_id": users, "n": range(1000)})
    for start in range(0, 1000, 300):
        spill.add(everything.slice(start, 300))
    spill.close()
    parts = [part for number in range(len(spill.ranges)) if (part := spill.read(number)) is not None]
    assert len(spill.ranges) == 5
    assert sum(map(len, parts)) == 1000
    owners = [set(part["user_id"]) for part in parts]
    assert sum(map(len, owners)) == 50
    assert all(part["n"].is_sorted() for part in parts)


def test_no_more_event_types_than_the_fold_can_number() -> None:
    """A part is refused before the import exists, not by the consumer after it."""
    rows = [line("a", number, kind=f"kind{number}") for number in range(256)]
    with pytest.raises(InvalidInput, match="255 event types"):
        worker().work(frame(rows), NONE, {})
    assert len(worker().work(frame(rows[1:]), NONE, {}).fold) == 255


def test_a_disk_that_refuses_for_now_is_not_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer waits for the one, and sets the import apart for the other."""
    path = tmp_path / "part-00000.npz"
    worker().work(frame([line("a", 1)]), NONE, {}).fold.save(path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(np, "load", refuse)
        with pytest.raises(StoreUnavailable, match="Input/output"):
            FoldColumns.load(path)
    assert len(FoldColumns.load(path)) == 1
    path.unlink()
    with pytest.raises(InvalidInput):
        FoldColumns.load(path)

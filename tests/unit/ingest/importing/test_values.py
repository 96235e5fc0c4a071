"""Times, identifiers and expressions of files."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import ConfigError
from kindred.core.ids import id_fault
from kindred.ingest.importing.identifiers import faulty_identifiers, to_identifiers
from kindred.ingest.importing.row_filter import RowFilter
from kindred.ingest.importing.times import to_milliseconds

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1))


def read(values: list[object], unit: str = "auto", zone: str = "UTC", pattern: str | None = None) -> list[int | None]:
    return to_milliseconds(pl.Series("t", values), unit, zone, pattern).to_list()  # type: ignore[arg-type]


@given(MOMENTS, st.sampled_from(["UTC", "Europe/London", "Asia/Kolkata", "America/New_York"]))
def test_iso_times_with_a_zone_are_read_as_python_reads_them(moment: datetime, zone: str) -> None:
    aware = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    expected = aware.timestamp() * 1000
    (found,) = read([aware.isoformat()], zone="Pacific/Auckland")
    assert found is not None
    assert abs(found - expected) <= 1


@given(st.datetimes(datetime(1975, 1, 1), datetime(2200, 1, 1)))
def test_numbers_mean_the_same_in_every_unit(moment: datetime) -> None:
    seconds = int(moment.replace(tzinfo=UTC).timestamp())
    assert read([seconds]) == read([str(seconds)]) == [seconds * 1000]
    assert read([seconds], "s") == read([seconds * 1000], "ms") == [seconds * 1000]
    assert read([seconds * 1_000]) == read([seconds * 1_000_000]) == [seconds * 1000]


def test_local_times_take_the_mappings_zone() -> None:
    assert read(["2011-07-01 10:00"], zone="Europe/London") == [1309510800000]
    assert read(["01/07/2011 10:00"], zone="Europe/London", pattern="%d/%m/%Y %H:%M") == [1309510800000]
    assert read([datetime(2011, 7, 1, 10)], zone="Europe/London") == [1309510800000]
    assert read([date(2011, 7, 1)]) == read(["2011-07-01"]) == [1309478400000]


def test_times_that_are_none_are_null() -> None:
    skipped_by_the_clocks = "2011-03-27 01:30"
    assert read(["soon", "2011-13-01", skipped_by_the_clocks, None], zone="Europe/London") == [None] * 4
    assert read([float("nan"), float("inf")]) == [None, None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], ["1", "2", None]),
        ([1.0, 1.5, float("nan"), None], ["1", "1.5", None, None]),
        (["1234.0", "a.0", "", "x"], ["1234", "a.0", None, "x"]),
        ([None, None], [None, None]),
    ],
)
def test_numbers_are_read_as_whole_texts(values: list[object], expected: list[str | None]) -> None:
    assert to_identifiers(pl.Series(values)).to_list() == expected


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=140)), min_size=1))
def test_the_rule_of_ids_is_the_platforms(values: list[str | None]) -> None:
    found = faulty_identifiers(pl.Series(values, dtype=pl.String)).to_list()
    assert found == [value is not None and id_fault(value) is not None for value in values]


FRAME = pl.DataFrame({"quantity": ["1", "-2", "x", None], "code": ["C1", "2", "C3", "C4"]})


def test_expressions_read_text_as_numbers_where_they_need_to() -> None:
    picked = RowFilter("quantity > 0 AND code LIKE 'C%'", "w").apply(FRAME)
    assert picked.kept.to_list() == [True, False, False, False]
    assert picked.unreadable.to_list() == [False, False, True, False]
    assert RowFilter("code LIKE 'C%'", "w").apply(FRAME).kept.to_list() == [True, False, True, True]


@pytest.mark.parametrize("text", ["quantity >", "read_csv('x') = 1", "__import__('os')", "1 = 1", "code"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="my key"):
        RowFilter(text, "my key").apply(FRAME)

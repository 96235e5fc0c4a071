"""Files as they come: their rows, lines, and faults."""

import csv
import gzip
import io
import json
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import ConfigError, InvalidInput
from kindred.ingest.importing import csv_reader
from kindred.ingest.importing.csv_reader import CsvReader
from kindred.ingest.importing.mapping import Table
from kindred.ingest.importing.readers import find_files, read_file
from kindred.ingest.importing.rejects import LINE, Rejects


def read(path: Path, needed: list[str], table: Table | None = None) -> tuple[pl.DataFrame, list[dict[str, object]]]:
    table = table or Table()
    rejected = path.parent / "rejects.jsonl"
    with Rejects(rejected) as rejects:
        (file,) = find_files(Table(path=path.name), path.parent, "t")
        frames = [batch.frame for batch in read_file(file, table, needed, rejects, "t")]
    lines = rejected.read_text().splitlines() if rejected.exists() else []
    return pl.concat(frames) if frames else pl.DataFrame(), [json.loads(line) for line in lines]


def test_csv_lines_count_quoted_line_breaks_and_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfu,i\n1,a\n"2\nx",b\n3\n\n4,d\n5,\xff\n6,\n')
    frame, rejects = read(path, ["u", "i"])
    expected = [("1", "a", 2), ("2\nx", "b", 3), ("4", "d", 7), ("6", None, 9)]
    assert frame.select("u", "i", LINE).rows() == expected
    assert [(bad["line"], bad["reason"]) for bad in rejects] == [(5, "malformed row"), (8, "malformed row")]
    assert "has 1 fields, the header has 2" in str(rejects[0]["detail"])


FIELDS = st.lists(st.sampled_from(["a", "é", " ", ",", '"', "\n", "\r\n", "1"]), max_size=4).map("".join)


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=12), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_blocks_of_any_size_read_what_was_written(rows: list[tuple[str, str]], size: int, ending: str) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator=ending).writerows([("u", "i"), *rows])
    stream = io.BytesIO(written.getvalue().encode())
    with patch.object(csv_reader, "BLOCK_BYTES", size):
        frames = list(
            CsvReader(stream, "f", ",", "utf-8", Rejects(Path("unused"), strict=True), "t").frames(["i", "u"])
        )
    found = pl.concat(frames).rows() if frames else []
    data = written.getvalue()
    starts = [data[: sum(map(len, written_rows(rows, ending)[:n]))].count("\n") for n in range(1, len(rows) + 1)]
    expected = [(i or None, u or None, start + 1) for (u, i), start in zip(rows, starts, strict=True)]
    assert found == expected


def written_rows(rows: list[tuple[str, str]], ending: str) -> list[str]:
    texts = []
    for row in [("u", "i"), *rows]:
        written = io.StringIO()
        csv.writer(written, lineterminator=ending).writerow(row)
        texts.append(written.getvalue())
    return texts


def test_wide_encodings_and_quoted_headers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("u,i\né,x\n".encode("utf-16"))
    assert read(tmp_path / "a.csv", ["u"], Table(encoding="utf-16"))[0].rows() == [("é", 2)]
    (tmp_path / "b.csv").write_bytes(b'\xef\xbb\xbf"u","i"\r\n1,2\r\n')
    assert read(tmp_path / "b.csv", ["u"])[0].rows() == [("1", 2)]
    with pytest.raises(ConfigError, match=r"t\.encoding: 'utf-99'"):
        read(tmp_path / "b.csv", ["u"], Table(encoding="utf-99"))


def test_an_open_quote_loses_no_line_silently(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('u,i\n1,a\n2,"b\n3,c\n')
    frame, rejects = read(path, ["u"])
    assert frame["u"].to_list() == ["1"]
    assert "lines 3 to 4 were left out" in str(rejects[0]["detail"])


def test_other_delimiters_encodings_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress("u;i\né;x\n".encode("latin-1")))
    frame, _ = read(path, ["u"], Table(delimiter=";", encoding="latin-1"))
    assert frame["u"].to_list() == ["é"]
    (tmp_path / "b.tsv").write_text("u\ti\n1\t2\n")
    assert read(tmp_path / "b.tsv", ["i"])[0]["i"].to_list() == ["2"]


def test_json_lines_of_mixed_types(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = ['{"u": 1, "tags": ["a", 2]}', '{"u": "x"}', "[1]", "{", "", '{"u": 99999999999999999999, "tags": null}']
    path.write_text("\n".join(rows))
    frame, rejects = read(path, ["u", "tags"])
    assert frame["u"].to_list() == ["1", "x", "99999999999999999999"]
    assert frame["tags"].to_list() == [["a", "2"], None, None]
    assert frame[LINE].to_list() == [1, 2, 6]
    assert [bad["line"] for bad in rejects] == [3, 4]


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz", "a.jsonl.gz"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = b"PAR1 nothing" if "parquet" in name else gzip.compress(b"u,i\n1,2\n" * 1000)[:-20]
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=name):
        read(path, ["u"])


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item\n")
    with pytest.raises(ConfigError, match=r"no column `userid` in .*a\.csv: unknown; did you mean `user_id`"):
        read(tmp_path / "a.csv", ["userid"])


def test_folders_globs_and_what_is_not_there(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "c.txt", ".hidden.csv"):
        (tmp_path / name).touch()
    assert [file.path.name for file in find_files(Table(path="."), tmp_path, "t")] == ["a.csv.gz", "b.csv"]
    assert [file.path.name for file in find_files(Table(path="b.*"), tmp_path, "t")] == ["b.csv"]
    with pytest.raises(ConfigError, match=r"t\.path: nothing to read"):
        find_files(Table(path="none"), tmp_path, "t")
    with pytest.raises(ConfigError, match=r"set t\.format"):
        find_files(Table(path="c.txt"), tmp_path, "t")

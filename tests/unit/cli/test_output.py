"""What is printed: safe for a terminal, exact for a machine."""

import json
from io import StringIO
from pathlib import Path

import pytest

from kindred.cli.output import age, emit_json, note, plain, show, size, table, when


def test_a_title_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(["title"], [["\x1b[31mred\x07 [bold]kept[/bold]"]]))
    note("\x1b]0;gotcha\x07")
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "[bold]kept[/bold]" in said.out
    assert plain("täglich\n愛") == "täglich\n愛"


def test_json_is_alone_and_knows_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"score": float("nan"), "id": "ä", "file": Path("a/b")})
    assert json.loads(capsys.readouterr().out) == {"score": None, "id": "ä", "file": "a/b"}


def test_cells_are_written_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(["a", "b|cyan|right", "c", "d"], [[None, 1234567, 0.123456, True]]))
    out = capsys.readouterr().out
    assert all(word in out for word in ("–", "1,234,567", "0.1235", "True"))


def test_times_and_sizes() -> None:
    assert [age(ms) for ms in (-5, 59_000, 60_000, 7_200_000, 86_400_000)] == [
        "0 seconds", "59 seconds", "1 minute", "2 hours", "1 day",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 1024, 3 * 2**30, 2**41)] == ["0 B", "1023 B", "1.0 KiB", "3.0 GiB", "2.0 TiB"]
    assert when(0) == "1970-01-01 00:00:00 UTC"
    assert when(None) == "–"


def test_a_reader_that_went_away_is_left_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(BrokenPipeError):
        show("anything")

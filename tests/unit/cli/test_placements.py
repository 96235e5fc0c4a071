"""`kindred placements`, over memory stores."""

import asyncio
import json
import tomllib
from pathlib import Path

import pytest
from tests.unit.cli.stand_in import memory_stores, opening

from kindred.app.stores import Stores
from kindred.cli.exits import Exit
from kindred.cli.main import run

PIN = """
[[placements.home.rules]]
kind = "pin"
items = ["318"]
slot = 1

[placements.search]
diversity = 0.5
"""
DOCUMENT = {"home": {"rules": [{"kind": "pin", "items": ["318"], "slot": 1}]}, "search": {"diversity": 0.5}}


@pytest.fixture
def stores(home: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    opened = asyncio.run(memory_stores(home))
    monkeypatch.setattr("kindred.cli.placements.opened_stores", opening(opened))
    return opened


def file_of(home: Path, text: str, name: str = "p.toml") -> str:
    home.mkdir(exist_ok=True)
    (home / name).write_text(text)
    return str(home / name)


def versions(stores: Stores) -> list[tuple[int, str, str]]:
    found = asyncio.run(stores.rules.versions(None, 100))
    return [(one.version, one.author, one.note) for one in found]


def test_a_file_becomes_a_version_that_is_shown_as_such_a_file(
    stores: Stores, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["placements", "show"]) == Exit.OK
    assert tomllib.loads(capsys.readouterr().out) == {"version": 0, "placements": {}}
    assert run(["placements", "history"]) == Exit.OK
    assert "the settings alone hold" in capsys.readouterr().out
    assert run(["placements", "set", file_of(home, PIN), "--note", "the sale"]) == Exit.OK
    assert "Version 1 changes home, search" in capsys.readouterr().out
    assert versions(stores) == [(1, "command line", "the sale")]
    assert run(["placements", "show"]) == Exit.OK
    shown = capsys.readouterr()
    assert tomllib.loads(shown.out) == {"version": 1, "placements": DOCUMENT}
    assert "by command line: the sale" in shown.err
    assert run(["placements", "set", file_of(home, shown.out.replace("0.5", "0.7"))]) == Exit.OK
    assert "Version 2 changes search;" in capsys.readouterr().out


def test_a_file_that_builds_on_an_older_version_changes_nothing(
    stores: Stores, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["placements", "set", file_of(home, f"version = 0\n{PIN}")]) == Exit.OK
    assert run(["placements", "set", file_of(home, f"version = 0\n{PIN}")]) == Exit.CONFLICT
    assert run(["placements", "set", file_of(home, PIN), "--expected", "3"]) == Exit.CONFLICT
    assert run(["placements", "rollback", "0", "--expected", "0"]) == Exit.CONFLICT
    assert "at version 1, not 0" in capsys.readouterr().err
    assert len(versions(stores)) == 1


def test_json_goes_in_as_it_comes_out(stores: Stores, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `show --json` says besides the document does not matter."""
    run(["placements", "set", file_of(home, PIN)])
    capsys.readouterr()
    assert run(["placements", "show", "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["version"], said["placements"], said["effective"]["item_page"]["count"]) == (1, DOCUMENT, 20)
    assert run(["placements", "set", file_of(home, json.dumps(said), "p.json"), "--json", "--dry-run"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"status": "dry_run", "version": 2, "changed": []}
    assert run(["placements", "history", "--json"]) == Exit.OK
    assert [each["version"] for each in json.loads(capsys.readouterr().out)] == [1]


def test_a_roll_back_is_a_version_of_its_own(stores: Stores, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["placements", "set", file_of(home, PIN)])
    assert run(["placements", "rollback", "0", "--dry-run"]) == Exit.OK
    assert "Version 2 would change home, search (nothing was done)" in capsys.readouterr().out
    assert run(["placements", "rollback", "0"]) == Exit.OK
    assert run(["placements", "rollback", "1", "--note", "after all"]) == Exit.OK
    assert [note for _, _, note in versions(stores)] == ["after all", "back to version 0", ""]
    assert asyncio.run(stores.rules.body(3)) == asyncio.run(stores.rules.body(1))
    assert run(["placements", "rollback", "7"]) == Exit.FAILURE
    assert run(["placements", "show", "7"]) == Exit.FAILURE
    assert "there is no version 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[placements.hoem]", "placements/hoem: unknown; did you mean `home`"),
        ("[placements.home]\ncount = nan", "placements/home/count"),
        ("[placements.home]\ncuont = 3", "did you mean `count`"),
        ("[placement.home]", "placement: unknown; did you mean `placements`"),
        ("placements = 3", "placements: is required"),
        ("", "placements: is required"),
        ("version = 'one'\n[placements]", "version"),
        ("[placements", "is not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    stores: Stores, home: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert run(["placements", "set", file_of(home, text)]) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert versions(stores) == []


def test_a_file_that_is_not_there(stores: Stores, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["placements", "set", str(home / "none.toml")]) == Exit.FAILURE
    assert "there is no file" in capsys.readouterr().err

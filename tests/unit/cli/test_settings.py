"""`kindred config`."""

import json
from pathlib import Path

import pytest

from kindred.app.sections import SCHEMA
from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.settings.load import load_settings


def test_show_says_value_and_origin(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "kindred.toml").write_text("[server]\nport = 9000\n")
    monkeypatch.setenv("KINDRED_SERVER_HOST", "0.0.0.0")
    assert run(["config", "show", "--changed", "--json"]) == Exit.OK
    shown = {row["key"]: (row["value"], row["origin"], row["place"]) for row in json.loads(capsys.readouterr().out)}
    assert shown == {
        "server.host": ("0.0.0.0", "environment", "KINDRED_SERVER_HOST"),
        "server.port": (9000, "file", "kindred.toml"),
    }


def test_show_one_section_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "server"]) == Exit.OK
    out = capsys.readouterr().out
    assert "server.port" in out
    assert "recommend." not in out


def test_show_an_unknown_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "sever"]) == Exit.USAGE
    assert "did you mean `server`?" in capsys.readouterr().err


def test_the_written_file_can_be_used(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--toml"]) == Exit.OK
    (home / "kindred.toml").write_text(capsys.readouterr().out)
    assert load_settings(SCHEMA, {}, home).sections == load_settings(SCHEMA, {}, home / "none").sections
    assert run(["config", "check"]) == Exit.OK


def test_check_names_everything_that_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "kindred.toml").write_text("[server]\nprot = 9000\n[recomend]\nexploration = 0\n")
    assert run(["config", "check"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert "server.prot: unknown; did you mean `port`?" in said
    assert "[recomend]: unknown; did you mean `recommend`?" in said


def test_check_counts_what_is_set(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "kindred.toml").write_text("[server]\nport = 9000\n")
    assert run(["config", "check", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["changed"] == ["server.port"]


@pytest.mark.parametrize(
    "key", ["recommend.exploration", "KINDRED_RECOMMEND_EXPLORATION", "placements.home.exploration"]
)
def test_explain_says_what_a_key_means(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", key]) == Exit.OK
    out = capsys.readouterr().out
    assert "EXPLORATION" in out
    assert "meaning" in out


@pytest.mark.parametrize("command", [["show", "stores"], ["show", "--json"], ["explain", "stores.state"]])
def test_a_password_is_not_shown(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINDRED_STORES_STATE", "redis://someone:geheim@127.0.0.1:6379/0")
    assert run(["config", *command]) == Exit.OK
    out = capsys.readouterr().out
    assert "someone" in out
    assert "geheim" not in out


def test_explain_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", "stores"]) == Exit.OK
    assert "The durable log of events." in capsys.readouterr().out


def test_explain_an_unknown_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", "recommend.exploraton"]) == Exit.FAILURE
    assert "did you mean `recommend.exploration`?" in capsys.readouterr().err

"""The command line as a whole."""

import subprocess
import sys

import pytest

from kindred import __version__
from kindred.cli.commands import app
from kindred.cli.exits import Exit
from kindred.cli.main import run
from kindred.core.errors import Conflict

HEAVY = {
    "numpy", "scipy", "polars", "pyarrow", "litestar", "uvicorn", "faiss", "lmdb", "implicit", "sklearn", "httpx",
    "tomlkit",
}  # fmt: skip
COMMANDS = [
    ["demo"], ["import"], ["train"], ["evaluate"], ["serve"], ["run"], ["precompute"], ["recommend"], ["similar"],
    ["trending"],
    ["popular"], ["explain"], ["doctor"], ["config"], ["config", "show"], ["config", "check"],
    ["config", "explain"], ["models"],
    ["models", "list"], ["models", "activate"], ["models", "rollback"], ["token"], ["token", "create"],
    ["catalog"], ["catalog", "sync"],
    ["token", "list"], ["token", "revoke"], ["consume"], ["backup"], ["restore"], ["job"], ["jobs"],
    ["state"], ["state", "rebuild"], ["lake"], ["lake", "write"], ["lake", "compact"], ["lake", "query"], ["events"],
    ["log"], ["log", "repartition"], ["users"], ["users", "export"],
    ["events", "dead-letters"],
    ["placements"], ["placements", "show"], ["placements", "set"], ["placements", "history"],
    ["placements", "rollback"],
    ["features"], ["features", "list"], ["features", "show"],
    ["tune"], ["models", "show"], ["models", "compare"], ["models", "card"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == Exit.OK
    said = capsys.readouterr()
    assert f"kindred {command[0]}".replace("run", "serve")[:10] in said.out or "Usage" in said.out
    assert not said.err


def test_the_list_of_commands_is_whole() -> None:
    registered = {name for name in app if not name.startswith("-")}
    assert registered == {command[0] for command in COMMANDS}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == Exit.OK
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["confg"], 'Did you mean "config"?'),
        (["recommend"], "requires an argument"),
        (["recommend", "u", "--cuont", "3"], "Did you mean --count?"),
        (["recommend", "u", "--count", "many"], "many"),
        (["token", "create", "--publishable"], "origins: needs at least one"),
        (["token", "create", "--origins", "https://a.example"], "--origins goes with --publishable"),
        (["token", "create", "--publishable", "--scopes", "read"], "leave --scopes out"),
        (["run", "--workers", "0"], "--workers is 1 to 256"),
        (["recommend", "u", "--count", "101"], "--count is 1 to 100"),
        (["recommend", "u", "--diversity", "2"], "--diversity is 0 to 1"),
        (["trending", "--window", "2h"], "2h"),
        (["similar", "i", "--metric", "best"], "best"),
        (["import"], "a mapping file or --sample"),
        (["import", "x.toml", "--sample"], "a mapping file or --sample"),
        (["serve", "--port", "99999"], "--port is 0 to 65535"),
        (["serve", "--port", "http"], "http"),
        (["consume", "--status", "-1"], "--status is 0 to 86400 seconds"),
        (["token", "create", "--scopes", "root"], "scopes are read, write, admin"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == Exit.USAGE
    printed = capsys.readouterr()
    assert said in printed.err
    assert not printed.out
    assert "Traceback" not in printed.err
    assert "\n\n" not in printed.err


def test_an_error_inside_a_command_has_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise Conflict("somebody else does it")

    monkeypatch.setattr("kindred.cli.settings.read_settings", fail)
    assert run(["config", "check"]) == Exit.CONFLICT
    assert capsys.readouterr().err == "kindred: somebody else does it\n"


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from kindred.cli.main import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.rpartition("\n\n")[2].split())


def test_ctrl_c_while_commands_load_is_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "kindred.cli.commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "kindred.cli.commands")
    monkeypatch.setattr(sys, "meta_path", [Interrupting, *sys.meta_path])
    assert run(["--version"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "stopped\n"


def test_a_reader_that_goes_away_is_no_failure() -> None:
    command = f"{sys.executable} -m kindred config show"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | true"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

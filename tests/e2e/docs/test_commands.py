"""Every command in the documentation does what its page says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.docs.pages import PAGES, REPOSITORY, Command, commands, missing
from tests.e2e.platform.server import Server
from tests.engines.running import free_port

WITH_COMMANDS = [page for page in PAGES if any(c.mark != "not run" for c in commands(page))]
OWN_SERVER = [page for page in WITH_COMMANDS if any(c.mark == "background" for c in commands(page))]
PORT = "127.0.0.1:8080"

# A page's commands share one shell, so that variables and folders stay; each one's output goes to a file of its own.
_BEGIN = """
curl() { command curl --fail-with-body --max-time 30 "$@"; }
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
"""
_ONE = """
{{
{text}
}} >{n}.out 2>{n}.err </dev/null
echo $? >{n}.code
"""
_BACKGROUND = """
{text} >{n}.out 2>{n}.err </dev/null &
for _ in $(seq 300); do command curl -sf http://{address}/health/ready >/dev/null && break; sleep 0.1; done
command curl -sf http://{address}/health/ready >/dev/null; echo $? >{n}.code
"""


def run(page_commands: list[Command], folder: Path, address: str, **variables: str) -> list[tuple[Command, str, str]]:
    """Run commands in `folder`; fail the test at the first one that does not end as its page says."""
    script = folder / "page.sh"
    parts = [_BEGIN]
    for n, command in enumerate(page_commands):
        frame = _BACKGROUND if command.mark == "background" else _ONE
        text = command.text.replace(PORT, address).replace("localhost:8080", address)
        parts.append(frame.format(text=text, n=f"{folder}/{n}", address=address))
    script.write_text("".join(parts))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KINDRED")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Nothing is judged here, so training need not hold rows back to measure.
    settings = {"KINDRED_SERVER_PORT": address.rpartition(":")[2], "KINDRED_TRAINING_HOLDOUT_SHARE": "0"}
    subprocess.run(
        ["bash", script],
        cwd=folder,
        env={**kept, "PATH": path, **settings, **variables},
        check=False,
        timeout=110,
        capture_output=True,
    )
    found = []
    for n, command in enumerate(page_commands):
        said, trouble, code = ((folder / f"{n}.{kind}") for kind in ("out", "err", "code"))
        assert code.exists(), f"line {command.line}: the shell ended before or in: {command.text}"
        told = f"line {command.line}: {command.text}\n{said.read_text()}\n{trouble.read_text()}"
        assert (code.read_text().strip() == "0") != (command.mark == "fails"), told
        found.append((command, said.read_text(), told))
    return found


def check_answers(ran: list[tuple[Command, str, str]]) -> None:
    """Compare the shape of every JSON answer with the one that the page shows."""
    for command, said, told in ran:
        if command.answer is not None:
            assert not missing(command.answer, json.loads(said)), f"{missing(command.answer, json.loads(said))}\n{told}"


def wanted(page: Path) -> list[Command]:
    return [command for command in commands(page) if command.mark != "not run"]


@pytest.mark.parametrize("page", OWN_SERVER, ids=lambda page: page.stem)
def test_a_page_that_starts_from_nothing(page: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    check_answers(run(wanted(page), tmp_path, address, KINDRED_HOME=str(tmp_path / "home")))


@pytest.mark.parametrize("page", [p for p in WITH_COMMANDS if p not in OWN_SERVER], ids=lambda page: page.stem)
def test_a_page_that_goes_on_with_the_first_steps(page: Path, home: Path, start, tmp_path: Path) -> None:
    server: Server = start(home)
    folder = tmp_path / "page"
    folder.mkdir()
    shutil.copytree(REPOSITORY / "docs" / "guide" / "mappings", folder / "mappings")
    address = f"127.0.0.1:{server.port}"
    check_answers(run(wanted(page), folder, address, KINDRED_HOME=str(home), TOKEN=server.token))


def test_marks_are_spelled_as_the_tests_know_them() -> None:
    """A block that is left out says why; a misspelled mark would run it, or hide it."""
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("<!--") and ("run" in line or "background" in line or "fails" in line):
                assert line.startswith(("<!-- not run: ", "<!-- background", "<!-- fails")), f"{page.name}: {line}"


def test_the_main_pages_have_commands() -> None:
    """The pages a reader starts with are run, not only read."""
    names = {page.stem for page in WITH_COMMANDS}
    assert {"README", "first-steps", "recommendations", "events", "catalogue", "explanations", "operations"} <= names
    assert {"features", "lake", "recovery", "training", "http", "configuration"} <= names


@pytest.mark.parametrize(
    ("shown", "real", "found"),
    [
        ({"a": 1}, {"a": 2.5, "b": 1}, []),
        ({"a": 1}, {"b": 1}, ["/a"]),
        ({"a": [{"b": "x"}]}, {"a": []}, ["/a: is empty"]),
        ({"a": [{"b": "x"}]}, {"a": [{"c": 1}]}, ["/a/0/b"]),
        ({"a": "x"}, {"a": 1}, ["/a: is int, not str"]),
        ({"a": None}, {"a": 1}, []),
    ],
)
def test_shapes_that_differ_are_found(shown: object, real: object, found: list[str]) -> None:
    assert missing(shown, real) == found

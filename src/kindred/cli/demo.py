"""`kindred demo`: from nothing to recommendations that change with every event."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from kindred.cli.exits import Exit
from kindred.cli.output import note, plain, show, table
from kindred.core.errors import Conflict, KindredError

if TYPE_CHECKING:
    from kindred.cli.demo_client import Answer, DemoClient

KNOWN_USER = "1"
COUNT = 8
START_SECONDS = 60.0
STOP_SECONDS = 15.0
_PREFERRED_PORT = 8080
_EVENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("rating", "1214", {"rating": 5.0}),
    ("like", "541", {}),
    ("rating", "1240", {"rating": 4.5}),
)
_SAID = {"rating": "rates", "like": "likes"}


def demo(
    *,
    port: Annotated[int | None, Parameter(help="TCP port; default 8080, or a free one where that is taken.")] = None,
    leave: Annotated[
        bool, Parameter(name="--exit", negative="", help="End at once and free the port, also in a terminal.")
    ] = False,
) -> int:
    """Import the sample, train, serve, and show how the recommendations change with every event.

    Works in a fresh data folder of its own, unless KINDRED_HOME names one. In a terminal it keeps serving until Ctrl-C.
    """
    stays = sys.stdin.isatty() and sys.stdout.isatty() and not leave
    signal.signal(signal.SIGTERM, _interrupt)
    with _home() as home:
        _step("1. The sample data: items and interactions", home, "import", "--sample")
        _step("2. Training", home, "train")
        token = _captured(home, "token", "create", "--scopes", "read,write", "--name", "demo")
        chosen = _free_port(port)
        url = f"http://127.0.0.1:{chosen}"
        with _server(home, chosen, url, token) as client:
            _heading(f"3. Serving on {url}")
            _show_known(client)
            _show_learning(client)
            _show_next(url, token, home, stays)
            if stays:
                _wait()
    return Exit.OK


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _home() -> Iterator[Path]:
    """Give the named data folder, or a fresh one that goes away at the end."""
    named = os.environ.get("KINDRED_HOME")
    if named:
        yield Path(named).expanduser().absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="kindred-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "kindred", *words]


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "KINDRED_HOME": str(home)}


def _heading(text: str) -> None:
    show(Text(f"\n{text}", style="bold magenta"))
    sys.stdout.flush()


def _step(heading: str, home: Path, *words: str) -> None:
    """Run a command as the user would, in the same terminal."""
    _heading(heading)
    show(Text(f"$ kindred {' '.join(words)}", style="dim"))
    sys.stdout.flush()
    started = time.perf_counter()
    code = subprocess.run(_command(*words), env=_environment(home), check=False).returncode
    if code:
        raise KindredError(f"`kindred {' '.join(words)}` ended with exit code {code}; what it said stands above")
    note(f"{time.perf_counter() - started:.1f} s in all", style="dim")


def _captured(home: Path, *words: str) -> str:
    done = subprocess.run(_command(*words), env=_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise KindredError(f"`kindred {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _free_port(wanted: int | None) -> int:
    """Return the wanted port, or 8080, or a free one; raise Conflict when a port asked for is taken."""
    for port in (_PREFERRED_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Conflict(f"port {wanted} is in use: choose another with --port")


@contextmanager
def _server(home: Path, port: int, url: str, token: str) -> Iterator["DemoClient"]:
    """Run a server beside this process and stop it at the end, whatever happens."""
    from kindred.cli.demo_client import DemoClient

    with (home / "demo-server.log").open("ab") as log:
        server = subprocess.Popen(
            _command("serve", "--port", str(port)), env=_environment(home), stdout=log, stderr=log
        )
        try:
            with DemoClient(url, token) as client:
                _await_ready(server, client, Path(log.name))
                yield client
        finally:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await_ready(server: "subprocess.Popen[bytes]", client: "DemoClient", log: Path) -> None:
    started = time.monotonic()
    while time.monotonic() - started < START_SECONDS:
        if server.poll() is not None:
            said = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise KindredError(f"the server ended with exit code {server.returncode}: {said}")
        if client.ready():
            return
        time.sleep(0.05)
    raise KindredError(f"the server was not ready within {START_SECONDS:g} s; its log is {log}")


def _show_known(client: "DemoClient") -> None:
    answer = client.slate(KNOWN_USER, COUNT)
    show(_slate(answer, [], f"\nUser {KNOWN_USER}, known from the sample ({answer.strategy})"))


def _show_learning(client: "DemoClient") -> None:
    """Send three events of a user whom nobody has seen, and show the slate after each."""
    user = f"demo-{int(time.time())}"
    before = client.slate(user, COUNT)
    show(_slate(before, [], f"A new user, of whom nothing is known ({before.strategy})"))
    for kind, item, metadata in _EVENTS:
        event = {"user_id": user, "item_id": item, "event_type": kind, "metadata": metadata}
        title = client.title(item)
        answer, milliseconds = client.slate_after(user, COUNT, client.track(event))
        stars = f" {metadata['rating']:g}" if "rating" in metadata else ""
        moved = sum(old != new for old, new in zip_longest(before.ids, answer.ids))
        heading = (
            f"The new user {_SAID[kind]} {title}{stars}: {milliseconds:.0f} ms after the 202 the slate has learned, "
            f"{moved} of {COUNT} places changed"
        )
        show(_slate(answer, before.ids, heading))
        before = answer


def _slate(answer: "Answer", before: list[str], title: str) -> Any:
    rows = []
    for place, row in enumerate(answer.rows):
        mark, style = _mark(before, row["item_id"], place)
        title_cell = Text(plain(str(row["title"])), style=style)
        rows.append((Text(mark, style=style), place + 1, title_cell, row.get("category"), row["reason"], row["source"]))
    return table(["", "|dim|right", "title", "category", "why|green", "source|dim"], rows, title=plain(title))


def _mark(before: list[str], item_id: str, place: int) -> tuple[str, str]:
    """Return a sign and a style for what an item did since the slate before: new, up, down, or nothing."""
    if not before or before[place : place + 1] == [item_id]:
        return "", "bold"
    if item_id not in before:
        return "new", "bold green"
    return ("up", "bold cyan") if before.index(item_id) > place else ("down", "bold")


def _show_next(url: str, token: str, home: Path, stays: bool) -> None:
    _heading("What to try next" if stays else "What to try next, with a server that stays")
    auth = f'-H "Authorization: Bearer {token}"'
    lines = [
        f'curl -s {auth} -d \'{{"user_id": "{KNOWN_USER}", "count": 5}}\' {url}/api/v1/recommendations',
        f'curl -s {auth} "{url}/api/v1/items/2571/similar?count=5"',
        f'curl -s {auth} "{url}/api/v1/trending?window=7d"',
        f"open {url}/docs",
    ]
    if not stays:
        named = os.environ.get("KINDRED_HOME")
        first = f"export KINDRED_HOME={home}" if named else "kindred import --sample && kindred train"
        lines = [first, f"kindred serve --port {url.rpartition(':')[2]} &", *lines]
        if not named:
            lines = [line.replace(token, "$(kindred token create)") for line in lines]
    else:
        lines.append(f"export KINDRED_HOME={home}")
    lines += [f"kindred recommend {KNOWN_USER}", f"kindred doctor --user {KNOWN_USER}"]
    for line in lines:
        print(f"  {line}")
    sys.stdout.flush()


def _wait() -> None:
    """Keep serving until Ctrl-C."""
    note("\nServing; Ctrl-C stops.", style="bold")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        note("stopped")

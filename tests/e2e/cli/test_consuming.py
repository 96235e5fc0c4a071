"""Serving and folding in processes of their own."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from tests.e2e.platform.server import environment, new_token


@contextlib.contextmanager
def process(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test; yield it once it has said its first line."""
    command = [sys.executable, "-m", "kindred", *words]
    with (home.parent / f"{words[0]}.err").open("w") as errors:
        found = subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield found
        finally:
            found.kill()
            found.wait()


def first_line(found: subprocess.Popen[str]) -> str:
    assert found.stdout is not None
    return found.stdout.readline()


def stop(found: subprocess.Popen[str]) -> int:
    found.send_signal(signal.SIGTERM)
    return found.wait(20)


def test_a_server_without_a_consumer_takes_events_that_a_consumer_alone_folds(tmp_path: Path) -> None:
    home = tmp_path / "home"
    headers = {"Authorization": f"Bearer {new_token(home)}"}
    with process(home, "serve", "--no-consume", "--port", "0") as server:
        url = next(word for word in first_line(server).split() if word.startswith("http://"))
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            assert client.put("/api/v1/items/a", json={"title": "A"}).json()["status"] == "queued"
            with process(home, "consume", "--status", "1") as consumer:
                assert "consumes" in first_line(consumer)
                end = time.monotonic() + 30
                while client.get("/api/v1/items/a").status_code != 200:
                    assert time.monotonic() < end, (tmp_path / "consume.err").read_text()
                    time.sleep(0.05)
                assert client.put("/api/v1/items/b", json={"title": "B"}).json()["status"] == "stored"
                assert stop(consumer) == 0
            said = (tmp_path / "consume.err").read_text()
            assert "this process is owner" in said
            assert "Stopped" in said
            assert "Traceback" not in said
            event = {"user_id": "u", "item_id": "a", "event_type": "view"}
            assert client.post("/api/v1/track", json=event).status_code == 202
            assert client.put("/api/v1/items/c", json={"title": "C"}).json()["status"] == "queued"
        assert stop(server) == 0

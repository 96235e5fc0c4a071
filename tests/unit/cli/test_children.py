"""A child process that is kept running."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from kindred.cli import children
from kindred.cli.children import Child

SECONDS = 60.0


def child(program: str) -> Child:
    return Child("worker", [sys.executable, "-u", "-c", program], dict(os.environ), "up")


async def test_what_dies_is_started_again_until_it_is_told_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.01)
    runs = tmp_path / "runs"
    program = f"""
import os, signal, sys, time
print("up and about")
print("trouble", file=sys.stderr)
with open({str(runs)!r}, "a") as file:
    file.write("x")
if os.path.getsize({str(runs)!r}) < 3:
    os.kill(os.getpid(), signal.SIGKILL)
print("third" + "!" * (1 << 21))
print("after a line too long")
time.sleep(600)
"""
    kept, ended = child(program), []
    keeping = asyncio.create_task(kept.keep(ended.append))
    async with asyncio.timeout(SECONDS):
        await kept.up.wait()
        said = ""
        while "after a line too long" not in said:
            await asyncio.sleep(0.02)
            said += capsys.readouterr().out
        kept.stop()
        assert await keeping == 0
    assert runs.read_text() == "xxx"
    assert len(ended) == 3
    assert said.count("worker | up and about\n") == 3


async def test_one_that_ends_by_itself_before_it_was_up_cannot_start() -> None:
    async with asyncio.timeout(SECONDS):
        assert await child("raise SystemExit(5)").keep() == 5


async def test_one_that_ends_by_itself_after_it_was_up_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.01)
    kept, ended = child("print('up'); raise SystemExit(5)"), []

    def note(pid: int) -> None:
        ended.append(pid)
        if len(ended) == 3:
            kept.stop()

    async with asyncio.timeout(SECONDS):
        assert await kept.keep(note) == 0
    assert len(set(ended)) == 3


async def test_one_that_does_not_listen_can_be_ended_at_once() -> None:
    kept = child("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)")
    keeping = asyncio.create_task(kept.keep())
    async with asyncio.timeout(SECONDS):
        await kept.up.wait()
        kept.stop()
        kept.kill()
        assert await keeping == 0

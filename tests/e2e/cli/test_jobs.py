"""`kindred run` keeps its timetable with real jobs; the lake survives being killed at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
from tests.e2e.platform.server import environment, kindred

from kindred.jobs.scheduler import Timetable
from kindred.training.lake_events import LakeEvents


def started(home: Path, **settings: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "kindred", "run", "--port", "0"]
    return subprocess.Popen(
        command, env=environment(home, **settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_run_writes_the_lake_and_learns_and_ends_everything_at_once(home: Path) -> None:
    settings = {f"KINDRED_SCHEDULE_{name}": "1" for name in ("LAKE", "INCREMENT")}
    timetable = Timetable(home / "jobs")
    process = started(home, **settings, KINDRED_SCHEDULE_TRAIN="0", KINDRED_SCHEDULE_RETENTION="0")
    try:
        until = time.monotonic() + 90
        codes: dict[str, int | None] = {}
        while time.monotonic() < until and None in (codes.get("lake"), codes.get("increment")):
            time.sleep(0.05)
            known = {name: timetable.read(name) for name in ("lake", "increment")}
            codes = {name: record.code for name, record in known.items() if record is not None}
        assert codes == {"lake": 0, "increment": 0}
        listed = {row["name"]: row for row in json.loads(kindred(home, "jobs", "--json").stdout)}
        assert listed["lake"]["code"] == 0
        assert listed["train"]["started"] is None
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=200)[0]
    assert process.returncode == 0, said
    assert "Kindred serves on" in said
    assert LakeEvents(home / "lake").manifest().files
    left = subprocess.run(["pgrep", "-f", "kindred job"], capture_output=True, text=True, check=False).stdout.split()
    assert [pid for pid in left if str(home) in _environment(int(pid))] == [], "no job outlives the run"


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


def test_an_unknown_job_is_named(home: Path) -> None:
    wrong = kindred(home, "job", "lak", check=False)
    assert wrong.returncode == 2
    assert "did you mean `lake`" in wrong.stderr


def events(home: Path, count: int, first: int) -> None:
    """Append events to the home's log, as a server does."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from kindred.adapters.sqlite.event_log import open_event_log\n"
        "from kindred.core.event import Interaction, encode_event\n"
        "async def main(home, count, first):\n"
        "    log = await open_event_log('log', Path(home))\n"
        "    at = 1_700_000_000_000\n"
        "    made = [Interaction(event_id=f'k{n}', timestamp=at + n * 60_000, ingested_at=at + n * 60_000,\n"
        "            user_id=f'u{n % 50}', item_id='i1', event_type='view') for n in range(first, first + count)]\n"
        "    await log.append([(one.user_id, encode_event(one)) for one in made])\n"
        "    await log.close()\n"
        "asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(home), str(count), str(first)], check=True, timeout=200)


def written(home: Path) -> list[Path]:
    """Return the files of the lake, also those that do not count yet."""
    return list((home / "lake" / "events").glob("date=*/hour=*/*.parquet"))


def test_the_lake_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    kindred(home, "config", "show")
    chance = random.Random(7)
    killed = 0
    for turn in range(5):
        events(home, 1_500, turn * 1_500)
        process = subprocess.Popen(
            [sys.executable, "-m", "kindred", "job", "lake"],
            env=environment(home, KINDRED_LAKE_STEP_ROWS="40"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Each step writes a file or more, about forty of them in all.
        wanted = len(written(home)) + chance.randrange(30)
        while process.poll() is None and len(written(home)) <= wanted:
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed == 5, "each was killed in the middle"
    kindred(home, "job", "lake")
    lake = LakeEvents(home / "lake")
    manifest = lake.manifest()
    rows = lake.scan(manifest.files).select("offset", "event_id", pl.col("raw").is_not_null()).collect()
    assert sorted(rows["offset"]) == list(range(7_500))
    assert rows["event_id"].n_unique() == 7_500
    assert rows["raw"].all()
    on_disk = {path.relative_to(lake.folder).as_posix() for path in written(home)}
    assert on_disk == {file.path for file in manifest.files} | set(manifest.retired)

"""Moments of tokens that several processes share."""

import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.api.dues import ProcessDues, SharedDues
from kindred.core.errors import StoreUnavailable
from kindred.core.files import boot_name

PROCESSES, RATE, BURST, SECONDS = 4, 500.0, 1.0, 2.0
HAMMER = f"""
import sys, time
from pathlib import Path
from kindred.api.dues import SharedDues
from kindred.api.limits import HttpConfig, RateLimit, RateLimited
limit = RateLimit(HttpConfig(rate={RATE}, burst={BURST}), dues=SharedDues(Path(sys.argv[1])))
let_in, first = 0, time.monotonic()
while time.monotonic() < first + {SECONDS}:
    try:
        limit.spend("token")
        let_in += 1
    except RateLimited:
        pass
print(let_in, first, time.monotonic(), sum(limit._dues._apart.values()) * {RATE})
"""


def test_a_rate_holds_over_four_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HAMMER, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    told = [process.communicate(timeout=90)[0].split() for process in processes]
    let_in = sum(int(each[0]) for each in told)
    spans = sorted((float(each[1]), float(each[2])) for each in told)
    # Whenever one of them asks, the rate is used to the full; a machine that stops for a while loses nothing by it.
    asked, end = 0.0, -math.inf
    for begins, ends in spans:
        asked += max(0.0, ends - max(begins, end))
        end = max(end, ends)
    whole = end - spans[0][0]
    # Where one of them was stopped inside for a moment, the others counted for themselves, and owe it.
    owed = sum(float(each[3]) for each in told)
    assert let_in - owed <= RATE * (BURST + whole) * 1.001 + 1
    assert let_in <= RATE * (BURST + whole) * 1.2 + 1
    assert let_in >= RATE * (BURST + asked) * 0.95


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.floats(0, 2)), max_size=60))
def test_shared_moments_are_those_of_one_process(tmp_path_factory: pytest.TempPathFactory, calls) -> None:  # type: ignore[no-untyped-def]
    alone, shared = ProcessDues(), SharedDues(tmp_path_factory.mktemp("dues"))
    now = 100.0
    for token, cost, passed in calls:
        now += passed
        assert shared.spend(token, cost, 2.0, now) == alone.spend(token, cost, 2.0, now)
    shared.close()


def test_a_process_killed_while_it_counts_leaves_no_lock_behind(tmp_path: Path) -> None:
    program = (
        "import fcntl, os, sys, time\nfrom pathlib import Path\nfrom kindred.api.dues import SharedDues\n"
        "dues = SharedDues(Path(sys.argv[1]))\nfcntl.lockf(dues._handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    dues = SharedDues(tmp_path)
    assert dues.spend("token", 1.0, 0.0, 10.0) == 0.0
    assert dues.spend("token", 1.0, 0.0, 10.0) == 1.0
    dues.close()


def test_a_process_stopped_while_it_counts_keeps_nobody_waiting_and_nothing_is_forgotten(tmp_path: Path) -> None:
    program = (
        "import fcntl, sys\nfrom pathlib import Path\nfrom kindred.api.dues import SharedDues\n"
        "dues = SharedDues(Path(sys.argv[1]))\nfcntl.lockf(dues._handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.readline()"
    )
    dues, told = SharedDues(tmp_path), []
    assert dues.spend("token", 1.0, 2.0, 10.0) == 0.0
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        calls = threading.Thread(target=lambda: told.extend(dues.spend("token", 1.0, 2.0, 10.0) for _ in range(4)))
        calls.daemon = True
        calls.start()
        calls.join(10)
        process.kill()
    # What was spent before counts, and once the file is free it holds all that was spent meanwhile.
    assert told == [0.0, 0.0, 1.0, 1.0]
    assert dues.spend("token", 0.0, 2.0, 10.0) == 1.0
    other = SharedDues(tmp_path)
    assert other.spend("token", 1.0, 2.0, 10.0) == 1.0
    other.close()
    dues.close()


def test_more_tokens_than_places_cost_the_least_pressed_ones_their_moments(tmp_path: Path) -> None:
    dues = SharedDues(tmp_path)
    for number in range(100_000):
        assert dues.spend(f"t{number}", 5.0, 0.0, 10.0) == 0.0
    assert dues.spend("t99999", 5.0, 0.0, 10.0) == 5.0
    dues.close()


def test_what_an_earlier_start_of_the_machine_left_is_dropped_and_a_bad_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "boot-before").mkdir()
    SharedDues(tmp_path).close()
    assert [each.name for each in tmp_path.iterdir()] == [boot_name()]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file"):
        SharedDues(tmp_path / "file")

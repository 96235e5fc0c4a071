"""The embedded event log under several processes, kills, lost tails and limits."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kindred.adapters.sqlite.event_log import open_event_log
from kindred.core.position import START
from kindred.ports.log import EventLog

Acknowledged = dict[int, str]


def acknowledged(output: str) -> Acknowledged:
    """Read the worker's lines; the last one may be cut by a kill."""
    whole = output[: output.rfind("\n") + 1]
    return {int(offset): record for offset, record in (line.split() for line in whole.splitlines())}


async def records(log: EventLog) -> dict[int, str]:
    """Read the whole log and see that its offsets are dense."""
    found: dict[int, str] = {}
    after = START
    while part := await log.read(after, 1_000):
        found |= {record.position.offset: record.data.decode() for record in part}
        after = part[-1].position
    assert list(found) == list(range(len(found)))
    assert await log.ends() == [after]
    return found


async def test_three_processes_append_at_once(tmp_path: Path, start) -> None:
    writers = [start("append", tmp_path, name, 4, 60) for name in "abc"]
    parts = [acknowledged(writer.communicate(timeout=200)[0]) for writer in writers]
    assert [len(part) for part in parts] == [4 * 120] * 3
    log = await open_event_log("log", tmp_path)
    found = await records(log)
    await log.close()
    assert found == {**parts[0], **parts[1], **parts[2]}
    assert len(set(found.values())) == len(found) == 3 * 4 * 120


async def test_what_was_acknowledged_survives_kills(tmp_path: Path, start) -> None:
    expected: Acknowledged = {}
    for run in range(5):
        writer = start("append", tmp_path, f"run{run}", 16, 0)
        first = "".join(writer.stdout.readline() for _ in range(150 + 40 * run))
        writer.kill()
        expected |= acknowledged(first + writer.stdout.read())
        log = await open_event_log("log", tmp_path)
        found = await records(log)
        await log.close()
        assert expected.items() <= found.items()
        assert len(set(found.values())) == len(found)
    assert len(expected) > 1_000


async def test_a_copy_cut_to_the_last_sync_holds_what_was_acknowledged(tmp_path: Path) -> None:
    log = await open_event_log("log", tmp_path)
    wal = tmp_path / "log" / "events.sqlite-wal"
    synced = []
    for number in range(30):
        await log.append([("key", b"%d" % number)] * (1 + number % 4))
        synced.append((wal.stat().st_size, (await log.ends())[0]))
    for case, (size, end) in enumerate(synced[4::5]):
        # Whatever was being written behind the last sync may be lost, whole or in part.
        for extra in (0, 1_000):
            copy = tmp_path / f"copy-{case}-{extra}"
            (copy / "log").mkdir(parents=True)
            for name in ("events.sqlite", "events.sqlite-wal"):
                shutil.copy(wal.with_name(name), copy / "log" / name)
            with (copy / "log" / wal.name).open("r+b") as file:
                file.truncate(size + extra)
            again = await open_event_log("log", copy)
            assert len(await records(again)) == end.offset + 1
            assert (await again.append([("key", b"next")]))[0].offset == end.offset + 1
            await again.close()
    await log.close()


async def test_no_acknowledgement_precedes_its_sync(tmp_path: Path, start) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    options = ("-f", "-y", "-o", str(trace), "-e", "trace=pwrite64,write,fdatasync,fsync")
    writer = start("append", tmp_path, "a", 1, 20, under=("strace", *options))
    output = writer.communicate(timeout=200)[0]
    if not output and "PTRACE" in (trace.read_text() if trace.exists() else "PTRACE"):
        pytest.skip("strace may not trace here")
    assert len(acknowledged(output)) == 39
    unsynced, acks, begun = False, 0, {}
    for line in trace.read_text().splitlines():
        thread, _, call = line.partition(" ")
        if call.lstrip().startswith("<..."):
            call = begun.pop(thread) + call
        elif call.endswith("<unfinished ...>"):
            begun[thread] = call
            if "sync(" in call:
                continue
        if re.search(r"write(64)?\(\d+<[^>]*-wal>", call):
            unsynced = True
        elif re.search(r"f(data)?sync\(\d+<[^>]*-wal>.* = 0", call):
            unsynced = False
        elif re.search(r'write\(1<[^>]*>, "\d+ a-', call) and "resumed" not in call:
            assert not unsynced, f"acknowledged before its sync: {line}"
            acks += 1
    assert acks == 39


async def test_a_limit_on_files_refuses_and_claims_nothing(tmp_path: Path, start) -> None:
    lines = start("append-limited", tmp_path, 300_000).communicate(timeout=200)[0].splitlines()
    refused = next(index for index, line in enumerate(lines) if line.startswith("refused"))
    assert refused > 10
    assert [int(line) for line in lines[:refused] + lines[refused + 1 :]] == list(range(refused + 1))
    log = await open_event_log("log", tmp_path)
    assert [len(record) for record in (await records(log)).values()] == [5_000] * refused + [5]
    await log.close()


async def test_many_openings_at_once_make_one_log(tmp_path: Path, start) -> None:
    writers: list[subprocess.Popen[str]] = [start("append", tmp_path, f"w{number}", 1, 1) for number in range(6)]
    offsets = [int(writer.communicate(timeout=200)[0].split()[0]) for writer in writers]
    assert sorted(offsets) == list(range(6))

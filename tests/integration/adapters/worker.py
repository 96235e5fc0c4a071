"""A process of its own that works on the embedded stores and prints what was acknowledged, line by line."""

import asyncio
import resource
import sys
from itertools import count
from pathlib import Path

from kindred.adapters.local.leases import open_leases
from kindred.adapters.local.state import LocalStateStore, open_state
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.core.errors import StoreUnavailable
from kindred.core.position import Position
from kindred.ports.state import StateKey, StateRecord, StateWrite


def say(*words: object) -> None:
    """Print a line in one write, so that a kill or a trace sees all of it or nothing."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def append(home: Path, name: str, tasks: int, times: int) -> None:
    """Append from several tasks, `times` times each (0: for ever); print offset and record once acknowledged."""
    log = await open_event_log("log", home)

    async def one(task: int) -> None:
        for number in range(times) if times else count():
            records = [f"{name}-{task}-{number}-{part}" for part in range(1 + number % 3)]
            positions = await log.append([("key", record.encode()) for record in records])
            for position, record in zip(positions, records, strict=True):
                say(position.offset, record)

    await asyncio.gather(*(one(task) for task in range(tasks)))
    await log.close()


async def append_limited(home: Path, limit: int) -> None:
    """Append under a limit on the size of files until that fails, then once more without it."""
    log = await open_event_log("log", home)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        while True:
            (position,) = await log.append([("key", b"x" * 5_000)])
            say(position.offset)
    except StoreUnavailable as error:
        say("refused", type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    (position,) = await log.append([("key", b"after")])
    say(position.offset)
    await log.close()


def _rows(offset: int, keys: int) -> list[StateWrite]:
    record = StateRecord(Position(0, 0, offset), b"%d " % offset * 200)
    return [StateWrite(StateKey("user@1", str(key)), record) for key in range(keys)]


async def write_state(home: Path, keys: int) -> None:
    """Write the same keys at ever greater offsets; print each offset once it is stored."""
    state = await open_state("state", home)
    for offset in count((await state.watermark()).offset + 1):
        await state.write(_rows(offset, keys), Position(0, 0, offset))
        say(offset)


async def read_state(home: Path, keys: int) -> None:
    """For each line of input print the watermark's offset and the offsets that the records carry."""
    state = LocalStateStore(home / "state", map_size=64 << 10)
    say("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        watermark, records = await state.read([StateKey("user@1", str(key)) for key in range(keys)])
        whole = {record.position.offset for record in records if record}
        assert all(record.value == b"%d " % record.position.offset * 200 for record in records if record)
        say(watermark.offset, sum(record is not None for record in records), *sorted(whole))


async def hold_lease(home: Path, owner: str) -> None:
    """Wait for the lease, print its number, and hold it."""
    leases = await open_leases("leases", home)
    while (fence := await leases.acquire("consumer", owner)) is None:
        await asyncio.sleep(0.01)
    say(fence)
    await asyncio.sleep(3_600)


COMMANDS = {
    "append": lambda home, name, tasks, times: append(home, name, int(tasks), int(times)),
    "append-limited": lambda home, limit: append_limited(home, int(limit)),
    "write-state": lambda home, keys: write_state(home, int(keys)),
    "read-state": lambda home, keys: read_state(home, int(keys)),
    "hold-lease": hold_lease,
}

if __name__ == "__main__":
    asyncio.run(COMMANDS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:]))

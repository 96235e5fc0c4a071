"""A process of its own that writes state to Redis and prints each offset once it is acknowledged."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from kindred.adapters.redis.state import open_state
from kindred.core.errors import StoreUnavailable
from kindred.core.position import Position
from kindred.ports.state import StateKey, StateRecord, StateWrite


def rows(offset: int, keys: int) -> list[StateWrite]:
    """Return a write of every key at one offset; more of them than one script takes."""
    record = StateRecord(Position(0, 0, offset), b"%d " % offset * 50)
    return [StateWrite(StateKey("user@1", str(key)), record) for key in range(keys)]


async def write(location: str, keys: int) -> None:
    """Write for ever at ever greater offsets; print the offset, or `away` where the server is."""
    state = await open_state(location, Path())
    first = (await state.watermark()).offset + 1
    for offset in count(first):
        while True:
            try:
                await state.write(rows(offset, keys), Position(0, 0, offset))
                break
            except StoreUnavailable:
                sys.stdout.write("away\n")
                sys.stdout.flush()
                await asyncio.sleep(0.02)
        sys.stdout.write(f"{offset}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2])))

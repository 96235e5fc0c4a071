"""A process that is one member of a group: it prints, turn by turn, when it asked and which partitions it holds."""

import asyncio
import json
import sys
import time
from pathlib import Path

from kindred.adapters.kafka.event_log import open_event_log
from kindred.core.errors import KindredError
from kindred.core.position import Position


async def main(location: str) -> None:
    log = await open_event_log(location, Path())
    member = await log.join("consumer")
    fences: dict[int, int] = {}
    while True:
        asked = time.monotonic()
        claims = dict(await member.claims())
        held = [partition for partition, fence in fences.items() if await member.holds(partition, fence)]
        refused = ""
        if lost := sorted(fences.keys() - claims.keys()):
            try:
                await log.commit("consumer", Position(0, lost[0], 0))
            except KindredError as error:
                refused = error.code
        print(json.dumps({"asked": asked, "claims": claims, "held": held, "refused": refused}), flush=True)
        fences = {**fences, **claims}
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

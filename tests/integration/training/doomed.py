"""Trainers on a data folder that are killed on the way: `python -m … HOME start|half`, then a number on each line,
or the first word of a step.

Each line begins a trainer in a process of its own, which has imported everything and used nothing of it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from kindred.app.sections import StoresConfig
from kindred.app.stores import open_stores
from kindred.core.clock import FixedClock
from kindred.models.als import AlsConfig
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.run import train
from kindred.training.steps.work import Work

NOW = 1_700_000_000_000
HOUR = 3_600_000
CONFIGS = TrainConfigs(training=TrainingConfig(threads=1), als=AlsConfig(factors=8, iterations=3, regularization=1.0))


def kill_before_mark(number: int) -> None:
    """Let this process be killed when the `number`-th artefact is written and not yet marked as whole."""
    finish, seen = Work.finish, []

    def told(work: Work, name: str) -> None:
        seen.append(name)
        if len(seen) == number:
            print(name, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        finish(work, name)

    Work.finish = told  # type: ignore[method-assign]


async def run(home: Path, phase: str, at: str) -> None:
    """Train as far as it goes."""
    heard = []
    if phase == "half":
        kill_before_mark(int(at))

    def tell(name: str) -> None:
        heard.append(name)
        if phase == "start":
            print(name, flush=True)
            if at in (str(len(heard)), name.split()[0]):
                os.kill(os.getpid(), signal.SIGKILL)

    stores = await open_stores(StoresConfig(), home)
    try:
        await train(stores, CONFIGS, FixedClock(NOW + HOUR), tell)
    finally:
        await stores.close()


def main(home: Path, phase: str) -> None:
    """Begin one trainer after another, and say of each how it ended; 0 is the end of the last one."""
    for line in sys.stdin:
        process = os.fork()
        if not process:
            asyncio.run(run(home, phase, line.strip()))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

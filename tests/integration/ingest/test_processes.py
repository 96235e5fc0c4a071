"""Consumers as real processes: killed while folding, replaced by a standby, nothing lost and nothing counted twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.ingest.fleet import open_stores
from tests.integration.ingest.stores import happened

from kindred.features.groups import item_key, user_key
from kindred.features.items import decode_item
from kindred.features.users import decode_user
from kindred.ingest.journal import Journal, folded

ROOT = Path(__file__).parents[3]


def spawn(home):
    """Start a consumer process."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.ingest.fleet", str(home)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=ROOT,
    )


def hear(process, word):
    """Read what a process says until it says `word`."""
    for line in process.stdout:
        if line.startswith(word):
            return
    pytest.fail(f"the process ended without saying {word!r}")


@pytest.fixture
def fleet():
    """Processes that are ended with the test."""
    processes = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_a_killed_consumer_is_replaced_and_every_event_counts_once(tmp_path, fleet):
    """The owner is killed with the log half folded, twice; standbys carry on."""
    stores = await open_stores(tmp_path)
    fleet.append(spawn(tmp_path))
    hear(fleet[0], "owner")
    fleet.append(spawn(tmp_path))
    hear(fleet[1], "standby")
    journal, number = Journal(stores.log), 0
    for kill in range(2):
        events = [happened(number + n, f"u{n % 7}", f"i{n % 5}") for n in range(700)]
        positions = await journal.record(events)
        number += len(events)
        assert await folded(stores.state, positions[kill * 100], 20)
        fleet[kill].send_signal(signal.SIGKILL)
        hear(fleet[kill + 1], "owner")
        if kill == 0:
            fleet.append(spawn(tmp_path))
            hear(fleet[2], "standby")
    assert await folded(stores.state, positions[-1], 20)
    await _counted(stores, number)


async def _counted(stores, number):
    """Check history, users and items against the number of events."""
    assert (await stores.interactions.counts())[0] == number
    users = await stores.state.read([user_key(f"u{n}") for n in range(7)])
    assert sum(decode_user(stored.value).interactions for stored in users.records) == number
    ordinals = await stores.catalog.resolve([f"i{n}" for n in range(5)], 0)
    items = await stores.state.read([item_key(ordinal) for ordinal in ordinals])
    assert sum(decode_item(stored.value).count("view") for stored in items.records) == number
    for store in (stores.log, stores.state, stores.interactions, stores.catalog, stores.profiles):
        await store.close()
